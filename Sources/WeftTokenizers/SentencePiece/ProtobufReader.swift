// SPDX-License-Identifier: Apache-2.0

/// Walks one protocol buffer message (https://protobuf.dev/programming-guides/encoding), field by field.
struct ProtobufReader {
  /// The value of a field, by its wire type.
  enum Value {
    /// Wire type 0.
    case integer(UInt64)
    /// Wire type 1.
    case fixed64(UInt64)
    /// Wire type 2: text, bytes or a message, as a range of the file.
    case bytes(Range<Int>)
    /// Wire type 5.
    case fixed32(UInt32)
  }

  private let bytes: UnsafeRawBufferPointer
  private let range: Range<Int>
  private let location: String
  private var offset: Int

  /// Reads the message in `range` of `bytes`, which outlive the reader.
  init(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, location: String) {
    self.bytes = bytes
    self.range = range
    self.location = location
    offset = range.lowerBound
  }

  /// The next field, or nil at the end of the message.
  mutating func next() throws(TokenizerError) -> (number: Int, value: Value)? {
    guard offset < range.upperBound else { return nil }
    let tag = try varint()
    guard let number = Int(exactly: tag >> 3), number > 0 else { throw malformed("a field number from 1", "\(tag >> 3)") }
    switch tag & 7 {
    case 0: return (number, .integer(try varint()))
    case 1: return (number, .fixed64(try fixed(UInt64.self)))
    case 2:
      let length = try varint()
      guard length <= UInt64(range.upperBound - offset) else {
        throw malformed("at most \(range.upperBound - offset) bytes", "a field of \(length)")
      }
      defer { offset += Int(length) }
      return (number, .bytes(offset..<offset + Int(length)))
    case 5: return (number, .fixed32(try fixed(UInt32.self)))
    default: throw malformed("wire type 0, 1, 2 or 5", "\(tag & 7)")
    }
  }

  private mutating func varint() throws(TokenizerError) -> UInt64 {
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while shift < 64 {
      guard offset < range.upperBound else { throw malformed("a number", "the end of the message") }
      let byte = bytes[offset]
      offset += 1
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return result }
      shift += 7
    }
    throw malformed("a number of at most 10 bytes", "more")
  }

  private mutating func fixed<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type
  ) throws(TokenizerError) -> Value {
    let size = MemoryLayout<Value>.size
    guard range.upperBound - offset >= size else { throw malformed("\(size) bytes", "\(range.upperBound - offset)") }
    defer { offset += size }
    return Value(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: type))
  }

  private func malformed(_ expected: String, _ found: String) -> TokenizerError {
    .malformed(location: "\(location): byte \(offset)", expected: expected, found: found)
  }
}
