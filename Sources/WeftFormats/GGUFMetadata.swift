// SPDX-License-Identifier: Apache-2.0

/// The kinds of metadata values, by their number in the file (GGUF's `gguf_metadata_value_type`).
enum GGUFValueKind: UInt32 {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

  /// The fewest bytes that one value takes: all of it, or the length in front of a string.
  var minimumBytes: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .string, .uint64, .int64, .float64: 8
    case .array: 12
    }
  }
}

extension ByteCursor {
  /// Reads `count` pairs of key and value. A key that occurs twice is an error. `ranges` are the bytes of kind and value.
  mutating func metadata(
    count: Int
  ) throws(FormatError) -> (values: [String: GGUFValue], order: [String], ranges: [String: Range<Int>]) {
    var values: [String: GGUFValue] = [:]
    var order: [String] = []
    var ranges: [String: Range<Int>] = [:]
    values.reserveCapacity(count)
    order.reserveCapacity(count)
    ranges.reserveCapacity(count)
    for index in 0..<count {
      let place = location
      let key = try string("metadata key \(index)")
      let begin = offset
      let value = try value(kind: kind(of: key), key: key)
      ranges[key] = begin..<offset
      guard values.updateValue(value, forKey: key) == nil else {
        throw .malformed(location: place, expected: "every metadata key once", found: "'\(key)' again")
      }
      order.append(key)
    }
    return (values, order, ranges)
  }

  private mutating func kind(of key: String) throws(FormatError) -> GGUFValueKind {
    let place = location
    let number = try integer(UInt32.self, "the kind of metadata value '\(key)'")
    guard let kind = GGUFValueKind(rawValue: number) else {
      throw .malformed(location: place, expected: "a kind from 0 to 12 for metadata value '\(key)'", found: "\(number)")
    }
    return kind
  }

  private mutating func value(kind: GGUFValueKind, key: String) throws(FormatError) -> GGUFValue {
    switch kind {
    case .uint8, .uint16, .uint32, .uint64: .unsigned(try unsigned(kind, key))
    case .int8, .int16, .int32, .int64: .signed(try signed(kind, key))
    case .float32: .float(Double(Float(bitPattern: try integer(UInt32.self, "metadata value '\(key)'"))))
    case .float64: .float(Double(bitPattern: try integer(UInt64.self, "metadata value '\(key)'")))
    case .bool: .bool(try bool(key))
    case .string: .string(try string("metadata value '\(key)'"))
    case .array: try array(key: key)
    }
  }

  private mutating func array(key: String) throws(FormatError) -> GGUFValue {
    let place = location
    let element = try kind(of: key)
    guard element != .array else {
      throw .unsupported(location: place, expected: "an array of plain values", found: "array of arrays in '\(key)'")
    }
    let count = try count(minimumBytes: element.minimumBytes, "elements of '\(key)'")
    switch element {
    case .uint8, .uint16, .uint32, .uint64:
      return .integers(
        try elements(count) { cursor throws(FormatError) in
          let value = try cursor.unsigned(element, key)
          guard let value = Int64(exactly: value) else {
            throw .unsupported(location: cursor.location, expected: "elements of '\(key)' below 2^63", found: "\(value)")
          }
          return value
        })
    case .int8, .int16, .int32, .int64:
      return .integers(try elements(count) { cursor throws(FormatError) in try cursor.signed(element, key) })
    case .float32:
      return .floats(
        try elements(count) { cursor throws(FormatError) in
          Float(bitPattern: try cursor.integer(UInt32.self, "an element of '\(key)'"))
        })
    case .float64:
      return .floats(
        try elements(count) { cursor throws(FormatError) in
          Float(Double(bitPattern: try cursor.integer(UInt64.self, "an element of '\(key)'")))
        })
    case .bool:
      return .bools(try elements(count) { cursor throws(FormatError) in try cursor.bool(key) })
    case .string:
      return .strings(try elements(count) { cursor throws(FormatError) in try cursor.string("an element of '\(key)'") })
    case .array:
      preconditionFailure("arrays of arrays were refused above")
    }
  }

  private mutating func elements<Element>(
    _ count: Int, _ next: (inout ByteCursor) throws(FormatError) -> Element
  ) throws(FormatError) -> [Element] {
    var result: [Element] = []
    result.reserveCapacity(count)
    for _ in 0..<count { result.append(try next(&self)) }
    return result
  }

  private mutating func unsigned(_ kind: GGUFValueKind, _ key: String) throws(FormatError) -> UInt64 {
    switch kind.minimumBytes {
    case 1: UInt64(try integer(UInt8.self, "metadata value '\(key)'"))
    case 2: UInt64(try integer(UInt16.self, "metadata value '\(key)'"))
    case 4: UInt64(try integer(UInt32.self, "metadata value '\(key)'"))
    default: try integer(UInt64.self, "metadata value '\(key)'")
    }
  }

  private mutating func signed(_ kind: GGUFValueKind, _ key: String) throws(FormatError) -> Int64 {
    switch kind.minimumBytes {
    case 1: Int64(try integer(Int8.self, "metadata value '\(key)'"))
    case 2: Int64(try integer(Int16.self, "metadata value '\(key)'"))
    case 4: Int64(try integer(Int32.self, "metadata value '\(key)'"))
    default: try integer(Int64.self, "metadata value '\(key)'")
    }
  }

  private mutating func bool(_ key: String) throws(FormatError) -> Bool {
    let place = location
    let byte = try integer(UInt8.self, "metadata value '\(key)'")
    guard byte < 2 else {
      throw .malformed(location: place, expected: "0 or 1 for the bool '\(key)'", found: "\(byte)")
    }
    return byte == 1
  }
}
