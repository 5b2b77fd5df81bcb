// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// What the header of a safetensors file says of one tensor. `begin` and `end` count from the end of the header.
struct SafetensorsEntry {
  let dtype: DType
  let shape: [Int]
  let begin: Int
  let end: Int

  /// Element types that the format defines and Weft does not read.
  private static let unsupportedTypes = [
    "BOOL", "I8", "U16", "U32", "U64", "F64", "C64", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
    "F6_E2M3", "F6_E3M2", "F4",
  ]

  /// Reads one header value. A member that is absent, occurs twice or has the wrong form is an error; others are ignored,
  /// as the reference implementation does.
  init(_ value: JSON, location: String) throws(FormatError) {
    guard let members = value.members else {
      throw .malformed(location: location, expected: "an object with dtype, shape and data_offsets", found: value.kind)
    }
    var found: [String: JSON] = [:]
    for (key, value) in members {
      guard found.updateValue(value, forKey: key) == nil else {
        throw .malformed(location: location, expected: "every member once", found: "'\(key)' again")
      }
    }
    dtype = try SafetensorsEntry.dtype(found["dtype"], location)
    shape = try SafetensorsEntry.integers(found["shape"], "shape", location)
    let offsets = try SafetensorsEntry.integers(found["data_offsets"], "data_offsets", location)
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw .malformed(location: location, expected: "data_offsets [begin, end]", found: "\(offsets)")
    }
    (begin, end) = (offsets[0], offsets[1])
  }

  /// The tensor in `storage`, whose tensor data begins at byte `dataStart`.
  func view(of storage: Storage, dataStart: Int, location: String) throws(FormatError) -> Tensor {
    guard let elements = Tensor.elementCount(of: shape), let bytes = dtype.byteCount(elements: elements) else {
      throw .malformed(location: location, expected: "fewer than 2^63 bytes", found: "shape \(shape)")
    }
    guard end - begin == bytes else {
      throw .malformed(
        location: location, expected: "\(bytes) bytes for \(dtype.name) of shape \(shape)",
        found: "\(end - begin) bytes (data_offsets [\(begin), \(end)])")
    }
    let available = storage.bytes.count - dataStart
    guard end <= available,
      let tensor = Tensor(dtype: dtype, shape: shape, storage: storage, offset: dataStart + begin)
    else {
      throw .malformed(
        location: location, expected: "data_offsets inside the \(available) bytes of tensor data",
        found: "[\(begin), \(end)]")
    }
    return tensor
  }

  /// The storage of a safetensors type name; nil for names that Weft does not read.
  static func dtype(named name: String) -> DType? {
    DType.allCases.first { $0.blockElements == 1 && $0.name == name }
  }

  private static func dtype(_ value: JSON?, _ location: String) throws(FormatError) -> DType {
    guard let value else { throw .missing(location: location, name: "dtype") }
    guard let name = value.string else {
      throw .malformed(location: location, expected: "the name of a dtype", found: value.kind)
    }
    if let dtype = dtype(named: name) { return dtype }
    let supported = "F32, F16, BF16, I64, I32, I16 or U8"
    guard unsupportedTypes.contains(name) else {
      throw .malformed(location: location, expected: "dtype \(supported)", found: "'\(name)'")
    }
    throw .unsupported(location: location, expected: supported, found: "dtype \(name)")
  }

  private static func integers(_ value: JSON?, _ name: String, _ location: String) throws(FormatError) -> [Int] {
    guard let value else { throw .missing(location: location, name: name) }
    guard let elements = value.array else {
      throw .malformed(location: location, expected: "\(name) as an array", found: value.kind)
    }
    var result: [Int] = []
    for element in elements {
      guard let integer = element.int, integer >= 0 else {
        throw .malformed(
          location: location, expected: "\(name) of integers from 0 to 2^53", found: element.kind)
      }
      result.append(integer)
    }
    return result
  }
}
