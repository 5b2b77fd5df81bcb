// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Chooses how the bytes of a tensor are stored.
enum PackEncoder {
  /// Above this many bytes the fast level of zstd is used: the slow one gains little on numbers.
  private static let slowLevelBytes = 1 << 18

  /// The smallest coding that a reader accepts, and what it stores; nil bytes for those of the tensor themselves.
  static func encode(_ tensor: Tensor) throws(FormatError) -> (coding: PackCoding, bytes: [UInt8]?) {
    let bytes = UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount)
    defer { withExtendedLifetime(tensor) {} }
    let level: Int32 = bytes.count > slowLevelBytes ? 6 : 19
    var (best, coding): ([UInt8]?, PackCoding) = (nil, .raw)
    func offer(_ candidate: [UInt8], _ kind: PackCoding) {
      guard candidate.count < best?.count ?? bytes.count,
        bytes.count <= PackCoding.mostBytes(decodedFrom: candidate.count)
      else { return }
      (best, coding) = (candidate, kind)
    }
    if tensor.dtype == .ternary {
      let codes = TernaryCodes(base: tensor.base, count: tensor.elementCount)
      offer(codes.nonzeroCount() == codes.count ? TernaryPlanes.encodeSigns(codes) : TernaryPlanes.encode(codes), .signs)
      if codes.nonzeroCount() < codes.count, coding == .signs { coding = .ternaryPlanes }
      offer(GolombRice.encode(codes), .golombRice)
    }
    offer(try zstd(bytes, level: level), .zstd)
    if tensor.dtype.blockBytes > 1, tensor.dtype != .ternary {
      let planes: Storage
      do { planes = try Storage(unwritten: bytes.count) } catch { throw .storage(error) }
      BytePlanes.split(bytes, width: tensor.dtype.blockBytes, into: planes.base)
      offer(try zstd(UnsafeRawBufferPointer(planes.bytes), level: level), .bytePlanes)
    }
    return (coding, best)
  }

  /// A frame, made longer when it would expand beyond what readers accept.
  private static func zstd(_ bytes: UnsafeRawBufferPointer, level: Int32) throws(FormatError) -> [UInt8] {
    let frame = try Zstandard.compress(bytes, level: level)
    return frame + padding(of: frame.count, decoded: bytes.count)
  }

  /// What zstd decoders skip, behind a frame of so many bytes; empty in nearly all cases.
  static func padding(of stored: Int, decoded: Int) -> [UInt8] {
    let needed = (decoded + PackLimits.expansion - 1) / PackLimits.expansion
    return needed > stored ? Zstandard.skippableFrame(byteCount: max(8, needed - stored)) : []
  }
}
