// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Reads little-endian values of a mapped file front to back, and never past its end.
///
/// Every length is compared with the bytes that are left before it is used, so a corrupt count can neither reserve memory
/// nor move the cursor outside the file.
struct ByteCursor {
  let storage: Storage
  let path: String
  private(set) var offset = 0

  init(_ storage: Storage, path: String) {
    self.storage = storage
    self.path = path
  }

  /// Bytes that have not been read yet.
  var remaining: Int { storage.bytes.count - offset }
  /// File and byte position, for errors.
  var location: String { "\(path): byte \(offset)" }

  /// The next integer; `name` says in errors what it was to be.
  mutating func integer<Value: FixedWidthInteger & BitwiseCopyable>(
    _ type: Value.Type = Value.self, _ name: @autoclosure () -> String
  ) throws(FormatError) -> Value {
    let size = MemoryLayout<Value>.size
    guard size <= remaining else {
      throw .malformed(
        location: location, expected: "\(name()) (\(size) bytes)", found: "the end of the file after \(remaining) bytes")
    }
    defer { offset += size }
    return Value(littleEndian: UnsafeRawBufferPointer(storage.bytes).loadUnaligned(fromByteOffset: offset, as: Value.self))
  }

  /// The next 64-bit count of things that take at least `minimumBytes` each: no more than fit into the rest of the file.
  mutating func count(minimumBytes: Int, _ name: @autoclosure () -> String) throws(FormatError) -> Int {
    let place = location
    let value = try integer(UInt64.self, "the number of \(name())")
    guard value <= UInt64(remaining / minimumBytes) else {
      throw .malformed(
        location: place, expected: "at most \(remaining / minimumBytes) \(name()) in the \(remaining) bytes that are left",
        found: "\(value)")
    }
    return Int(value)
  }

  /// The next string: a 64-bit length and that many bytes of UTF-8.
  mutating func string(_ name: @autoclosure () -> String) throws(FormatError) -> String {
    let length = try count(minimumBytes: 1, "bytes of \(name())")
    let bytes = UnsafeRawBufferPointer(rebasing: storage.bytes[offset..<offset + length])
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw .malformed(location: location, expected: "\(name()) in UTF-8", found: "\(length) bytes that are not UTF-8")
    }
    offset += length
    return text
  }

  /// The next `count` bytes.
  mutating func bytes(_ count: Int, _ name: @autoclosure () -> String) throws(FormatError) -> UnsafeRawBufferPointer {
    guard count <= remaining else {
      throw .malformed(
        location: location, expected: "\(name()) (\(count) bytes)", found: "the end of the file after \(remaining) bytes")
    }
    defer { offset += count }
    return UnsafeRawBufferPointer(rebasing: storage.bytes[offset..<offset + count])
  }
}
