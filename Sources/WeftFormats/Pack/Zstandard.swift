// SPDX-License-Identifier: Apache-2.0

internal import CZstandard
internal import WeftTensors

/// zstd frames (RFC 8878) with content checksums.
enum Zstandard {
  /// One frame of these bytes. The same bytes give the same frame with one version of the library.
  static func compress(_ bytes: UnsafeRawBufferPointer, level: Int32) throws(FormatError) -> [UInt8] {
    let bound = ZSTD_compressBound(bytes.count)
    guard let context = ZSTD_createCCtx() else { throw .storage(.outOfMemory(bytes: bound)) }
    defer { ZSTD_freeCCtx(context) }
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    let target: Storage
    do { target = try Storage(unwritten: bound) } catch { throw .storage(error) }
    let count = ZSTD_compress2(context, target.base, bound, bytes.baseAddress, bytes.count)
    // The bound is enough for any bytes: only memory can be missing.
    guard ZSTD_isError(count) == 0 else { throw .storage(.outOfMemory(bytes: bound)) }
    return Array(target.bytes[..<count])
  }

  /// A frame that decoders skip, of exactly so many bytes: at least 8.
  static func skippableFrame(byteCount: Int) -> [UInt8] {
    GGUFField.littleEndian(UInt32(0x184D_2A50)) + GGUFField.littleEndian(UInt32(byteCount - 8))
      + [UInt8](repeating: 0, count: byteCount - 8)
  }

  /// Decodes frames into memory of their own. They have to hold exactly `byteCount` bytes, which the caller has compared with
  /// the size of the file.
  static func decompress(
    _ stored: UnsafeRawBufferPointer, byteCount: Int, location: String
  ) throws(FormatError) -> Storage {
    let target: Storage
    do { target = try Storage(unwritten: byteCount) } catch { throw .storage(error) }
    let count = ZSTD_decompress(target.base, byteCount, stored.baseAddress, stored.count)
    guard ZSTD_isError(count) == 0 else {
      throw .malformed(
        location: location, expected: "zstd frames of \(byteCount) bytes", found: String(cString: ZSTD_getErrorName(count)))
    }
    guard count == byteCount else {
      throw .malformed(location: location, expected: "zstd frames of \(byteCount) bytes", found: "\(count) bytes")
    }
    return target
  }
}
