// SPDX-License-Identifier: Apache-2.0

/// Elements of a ternary tensor in memory: four in a byte, element i of a byte in bits 2 i and 2 i + 1; 0, 1, and 3 for -1.
struct TernaryCodes {
  let base: UnsafeRawPointer
  /// Elements, a multiple of 4.
  let count: Int

  var byteCount: Int { count / 4 }

  /// Calls `visit` with every element that is not 0, in order: where it is, and whether it is negative.
  func forEachNonzero(_ visit: (_ index: Int, _ isNegative: Bool) -> Void) {
    for byte in stride(from: 0, to: byteCount, by: 8) {
      let codes = LittleEndianBits.word(base, byte: byte, of: byteCount)
      var left = codes & 0x5555_5555_5555_5555
      while left != 0 {
        let bit = left.trailingZeroBitCount
        visit(byte * 4 + bit / 2, codes >> UInt64(bit + 1) & 1 != 0)
        left &= left - 1
      }
    }
  }

  /// How many elements are not 0.
  func nonzeroCount() -> Int {
    var count = 0
    for byte in stride(from: 0, to: byteCount, by: 8) {
      count += (LittleEndianBits.word(base, byte: byte, of: byteCount) & 0x5555_5555_5555_5555).nonzeroBitCount
    }
    return count
  }
}

/// Bits of bytes, the lowest bit of the first byte first.
enum LittleEndianBits {
  /// Eight bytes from `byte` on as one number, with zeros for those that lie behind `count` bytes.
  @inline(__always)
  static func word(_ base: UnsafeRawPointer, byte: Int, of count: Int) -> UInt64 {
    if byte + 8 <= count { return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: byte, as: UInt64.self)) }
    var word: UInt64 = 0
    var index = byte
    while index < count {
      word |= UInt64(base.load(fromByteOffset: index, as: UInt8.self)) << UInt64(8 * (index - byte))
      index += 1
    }
    return word
  }

  /// The bytes that hold so many bits.
  static func byteCount(_ bits: Int) -> Int { (bits + 7) / 8 }
}

/// Appends bits to bytes, the lowest first.
struct BitWriter {
  private(set) var bytes: [UInt8] = []
  private var current: UInt64 = 0
  private var filled = 0

  /// The lowest `count` bits of `value`, at most 32; the others have to be 0.
  mutating func append(_ value: UInt64, count: Int) {
    current |= value << UInt64(filled)
    filled += count
    while filled >= 8 {
      bytes.append(UInt8(truncatingIfNeeded: current))
      current >>= 8
      filled -= 8
    }
  }

  /// Fills the last byte with zeros.
  mutating func finish() -> [UInt8] {
    if filled > 0 { bytes.append(UInt8(truncatingIfNeeded: current)) }
    (current, filled) = (0, 0)
    return bytes
  }
}
