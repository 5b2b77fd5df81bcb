// SPDX-License-Identifier: Apache-2.0

/// One metadata value of a GGUF file. Integer widths are widened; arrays keep their element kind, with float64 elements
/// rounded to float32.
package enum GGUFValue: Sendable, Equatable {
  case unsigned(UInt64)
  case signed(Int64)
  case float(Double)
  case bool(Bool)
  case string(String)
  case integers([Int64])
  case floats([Float])
  case bools([Bool])
  case strings([String])

  package var string: String? { if case .string(let value) = self { value } else { nil } }
  package var strings: [String]? { if case .strings(let value) = self { value } else { nil } }
  package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  package var floats: [Float]? { if case .floats(let value) = self { value } else { nil } }
  package var integers: [Int64]? { if case .integers(let value) = self { value } else { nil } }
  /// The number as Int, when it is an integer that fits.
  package var int: Int? {
    switch self {
    case .unsigned(let value): Int(exactly: value)
    case .signed(let value): Int(exactly: value)
    default: nil
    }
  }
  /// The number as Double, from float or integer.
  package var double: Double? {
    switch self {
    case .float(let value): value
    case .unsigned(let value): Double(value)
    case .signed(let value): Double(value)
    default: nil
    }
  }

  /// A short text for error messages: the value itself, or the kind and length of an array.
  package var summary: String {
    switch self {
    case .unsigned(let value): "\(value)"
    case .signed(let value): "\(value)"
    case .float(let value): "\(value)"
    case .bool(let value): "\(value)"
    case .string(let value): "\"\(value.prefix(60))\""
    case .integers(let values): "an array of \(values.count) integers"
    case .floats(let values): "an array of \(values.count) floats"
    case .bools(let values): "an array of \(values.count) bools"
    case .strings(let values): "an array of \(values.count) strings"
    }
  }
}
