// SPDX-License-Identifier: Apache-2.0

/// Ternary elements as bit planes, for densities where gaps do not pay.
///
/// | coding | bytes | meaning |
/// |---|---|---|
/// | ternary planes | ceil(n / 8) | a bit for each of n elements: 1 where it is not 0 |
/// | | ceil(m / 8) | signs of the m nonzero elements, in order; 1 is negative |
/// | signs | ceil(n / 8) | signs of n elements, none of which is 0 |
///
/// Bits are taken from the lowest of the first byte on; bits behind the last are 0.
enum TernaryPlanes {
  static func encode(_ codes: TernaryCodes) -> [UInt8] {
    var mask = [UInt8](repeating: 0, count: LittleEndianBits.byteCount(codes.count))
    var signs = BitWriter()
    codes.forEachNonzero { index, isNegative in
      mask[index >> 3] |= 1 << UInt8(index & 7)
      signs.append(isNegative ? 1 : 0, count: 1)
    }
    return mask + signs.finish()
  }

  /// Of elements without zeros.
  static func encodeSigns(_ codes: TernaryCodes) -> [UInt8] {
    var signs = BitWriter()
    codes.forEachNonzero { _, isNegative in signs.append(isNegative ? 1 : 0, count: 1) }
    return signs.finish()
  }

  /// Decodes into `count` elements at `target`, whose bytes are 0. False when the stream is not one of so many elements.
  static func decode(_ stored: UnsafeRawBufferPointer, count: Int, into target: UnsafeMutableRawPointer) -> Bool {
    let maskBytes = LittleEndianBits.byteCount(count)
    guard let base = stored.baseAddress, maskBytes <= stored.count else { return count == 0 && stored.isEmpty }
    let (signs, signBytes) = (base + maskBytes, stored.count - maskBytes)
    guard GolombRice.isFilled(base, maskBytes, bits: count) else { return false }
    var nonzero = 0
    for byte in 0..<maskBytes {
      nonzero += base.load(fromByteOffset: byte, as: UInt8.self).nonzeroBitCount
    }
    guard GolombRice.isFilled(signs, signBytes, bits: nonzero) else { return false }
    var next = 0
    for byte in 0..<maskBytes {
      let mask = base.load(fromByteOffset: byte, as: UInt8.self)
      // The signs of eight elements, moved to where the mask has a bit.
      var (left, negative) = (mask, UInt8(0))
      var taken = LittleEndianBits.word(signs, byte: next >> 3, of: signBytes) >> UInt64(next & 7)
      next += mask.nonzeroBitCount
      while left != 0 {
        if taken & 1 != 0 { negative |= left & (~left &+ 1) }
        taken >>= 1
        left &= left &- 1
      }
      store(spread(mask) | spread(negative) << 1, byte: byte, count: count, into: target)
    }
    return true
  }

  /// The same of signs alone.
  static func decodeSigns(_ stored: UnsafeRawBufferPointer, count: Int, into target: UnsafeMutableRawPointer) -> Bool {
    guard let base = stored.baseAddress else { return count == 0 }
    guard GolombRice.isFilled(base, stored.count, bits: count) else { return false }
    for byte in stored.indices { store(0x5555 | spread(stored[byte]) << 1, byte: byte, count: count, into: target) }
    return true
  }

  /// Eight elements, or the last four.
  private static func store(_ codes: UInt16, byte: Int, count: Int, into target: UnsafeMutableRawPointer) {
    target.storeBytes(of: UInt8(truncatingIfNeeded: codes), toByteOffset: 2 * byte, as: UInt8.self)
    guard 8 * byte + 4 < count else { return }
    target.storeBytes(of: UInt8(codes >> 8), toByteOffset: 2 * byte + 1, as: UInt8.self)
  }

  /// Bit i of a byte at bit 2 i.
  private static func spread(_ bits: UInt8) -> UInt16 {
    var wide = UInt16(bits)
    wide = (wide | wide << 4) & 0x0F0F
    wide = (wide | wide << 2) & 0x3333
    return (wide | wide << 1) & 0x5555
  }
}
