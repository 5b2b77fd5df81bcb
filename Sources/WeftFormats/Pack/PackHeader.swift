// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// The first 128 bytes of a pack; the table is in `PackFile.swift`.
struct PackHeader {
  static let magic: [UInt8] = [0x89, 0x57, 0x45, 0x46, 0x54, 0x0D, 0x0A, 0x1A]
  static let version: UInt32 = 1
  static let byteCount = 128
  /// The bytes in front of the content hash, which it covers.
  private static let hashedBytes = 96

  let indexOffset: Int
  let indexStoredBytes: Int
  let indexDecodedBytes: Int
  let indexHash: ContentHash
  let contentHash: ContentHash

  /// Where the content ends, and a signature may begin.
  var contentEnd: Int { indexOffset + indexStoredBytes }

  init(indexOffset: Int, indexDecodedBytes: Int, storedIndex: [UInt8]) {
    self.indexOffset = indexOffset
    self.indexDecodedBytes = indexDecodedBytes
    indexStoredBytes = storedIndex.count
    indexHash = ContentHash(of: storedIndex)
    contentHash = ContentHash(
      of: PackHeader.hashed(indexOffset, storedIndex.count, indexDecodedBytes, indexHash))
  }

  /// The header as stored.
  var bytes: [UInt8] {
    PackHeader.hashed(indexOffset, indexStoredBytes, indexDecodedBytes, indexHash) + contentHash.bytes
  }

  private static func hashed(_ offset: Int, _ stored: Int, _ decoded: Int, _ hash: ContentHash) -> [UInt8] {
    var bytes = magic + GGUFField.littleEndian(version) + GGUFField.littleEndian(UInt32(0))
    for value in [offset, stored, decoded] { bytes += GGUFField.littleEndian(UInt64(value)) }
    bytes += hash.bytes
    return bytes + [UInt8](repeating: 0, count: hashedBytes - bytes.count)
  }

  /// Reads and checks the header: every size fits the file.
  init(_ storage: Storage, path: String) throws(FormatError) {
    let bytes = UnsafeRawBufferPointer(storage.bytes)
    guard bytes.starts(with: PackHeader.magic) else {
      throw .malformed(location: path, expected: "a pack, whose first bytes are 89 'WEFT' 0D 0A 1A", found: "other bytes")
    }
    guard bytes.count >= PackHeader.byteCount else {
      throw .malformed(
        location: path, expected: "a header of \(PackHeader.byteCount) bytes", found: "the end of the file after \(bytes.count)"
      )
    }
    let version = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    guard version <= PackHeader.version, version > 0 else {
      throw .unsupported(
        location: path, expected: "a pack of version \(PackHeader.version)", found: "a pack of version \(version)")
    }
    let hashed = UnsafeRawBufferPointer(rebasing: bytes[..<PackHeader.hashedBytes])
    contentHash = ContentHash(stored: UnsafeRawBufferPointer(rebasing: bytes[PackHeader.hashedBytes..<PackHeader.byteCount]))
    let found = ContentHash(of: hashed)
    guard found == contentHash else {
      throw .malformed(location: "\(path): header", expected: "content hash \(contentHash)", found: "\(found)")
    }
    for offset in [12..<16, 72..<PackHeader.hashedBytes].joined() where bytes[offset] != 0 {
      throw .malformed(location: "\(path): byte \(offset)", expected: "0, as it is reserved", found: "\(bytes[offset])")
    }
    indexHash = ContentHash(stored: UnsafeRawBufferPointer(rebasing: bytes[40..<72]))

    func size(_ offset: Int, _ name: String, _ range: ClosedRange<Int>) throws(FormatError) -> Int {
      let value = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      guard let size = Int(exactly: value), range.contains(size) else {
        throw .malformed(
          location: "\(path): byte \(offset)", expected: "\(name) from \(range.lowerBound) to \(range.upperBound)",
          found: "\(value)")
      }
      return size
    }
    indexOffset = try size(16, "the offset of the index", PackHeader.byteCount...bytes.count)
    guard indexOffset % PackLimits.alignment == 0 else {
      throw .malformed(
        location: "\(path): byte 16", expected: "the offset of the index as a multiple of \(PackLimits.alignment)",
        found: "\(indexOffset)")
    }
    indexStoredBytes = try size(24, "the bytes of the index", 0...bytes.count - indexOffset)
    indexDecodedBytes = try size(
      32, "the bytes of the index decoded (at most \(PackLimits.expansion) times as many as stored)",
      0...indexStoredBytes.multipliedReportingOverflow(by: PackLimits.expansion).partialValue)
  }
}
