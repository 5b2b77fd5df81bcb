// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// A metadata value as a GGUF file holds it: the number of its kind, and its bytes.
///
/// Programs that read GGUF insist on the kind of a value (uint32 for counts, float32 for epsilons), which `GGUFValue` has
/// widened. So a file is written from fields: made with the kind that is meant, or taken from another file unchanged.
package struct GGUFField: Sendable, Equatable {
  /// Kind (uint32) and value, little-endian.
  package let bytes: [UInt8]

  private init(_ kind: GGUFValueKind, _ value: [UInt8]) { bytes = GGUFField.littleEndian(kind.rawValue) + value }

  private init(array kind: GGUFValueKind, count: Int, _ elements: [UInt8]) {
    self.init(.array, GGUFField.littleEndian(kind.rawValue) + GGUFField.littleEndian(UInt64(count)) + elements)
  }

  init(copying bytes: [UInt8]) { self.bytes = bytes }

  package static func uint8(_ value: UInt8) -> GGUFField { GGUFField(.uint8, [value]) }
  package static func int8(_ value: Int8) -> GGUFField { GGUFField(.int8, littleEndian(value)) }
  package static func uint16(_ value: UInt16) -> GGUFField { GGUFField(.uint16, littleEndian(value)) }
  package static func int16(_ value: Int16) -> GGUFField { GGUFField(.int16, littleEndian(value)) }
  package static func uint32(_ value: UInt32) -> GGUFField { GGUFField(.uint32, littleEndian(value)) }
  package static func int32(_ value: Int32) -> GGUFField { GGUFField(.int32, littleEndian(value)) }
  package static func uint64(_ value: UInt64) -> GGUFField { GGUFField(.uint64, littleEndian(value)) }
  package static func int64(_ value: Int64) -> GGUFField { GGUFField(.int64, littleEndian(value)) }
  package static func float32(_ value: Float) -> GGUFField { GGUFField(.float32, littleEndian(value.bitPattern)) }
  package static func float64(_ value: Double) -> GGUFField { GGUFField(.float64, littleEndian(value.bitPattern)) }
  package static func bool(_ value: Bool) -> GGUFField { GGUFField(.bool, [value ? 1 : 0]) }
  package static func string(_ value: String) -> GGUFField { GGUFField(.string, lengthAndText(value)) }

  package static func strings(_ values: [String]) -> GGUFField {
    GGUFField(array: .string, count: values.count, values.flatMap(lengthAndText))
  }

  package static func int32s(_ values: [Int32]) -> GGUFField {
    GGUFField(array: .int32, count: values.count, values.flatMap(littleEndian))
  }

  package static func uint32s(_ values: [UInt32]) -> GGUFField {
    GGUFField(array: .uint32, count: values.count, values.flatMap(littleEndian))
  }

  package static func float32s(_ values: [Float]) -> GGUFField {
    GGUFField(array: .float32, count: values.count, values.flatMap { littleEndian($0.bitPattern) })
  }

  package static func bools(_ values: [Bool]) -> GGUFField {
    GGUFField(array: .bool, count: values.count, values.map { $0 ? 1 : 0 })
  }

  /// The value, when the kind is uint32.
  var uint32: UInt32? {
    guard bytes.count == 8, Array(bytes[..<4]) == GGUFField.littleEndian(GGUFValueKind.uint32.rawValue) else { return nil }
    return bytes[4...].reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// A 64-bit length and UTF-8.
  static func lengthAndText(_ text: String) -> [UInt8] {
    let utf8 = Array(text.utf8)
    return littleEndian(UInt64(utf8.count)) + utf8
  }

  static func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian, Array.init)
  }
}

extension GGUFFile {
  /// The value of a metadata key, of whatever kind, for another file; nil when there is no such key.
  package func field(_ key: String) -> GGUFField? {
    metadataRanges[key].map { GGUFField(copying: Array(UnsafeRawBufferPointer(rebasing: storage.bytes[$0]))) }
  }
}
