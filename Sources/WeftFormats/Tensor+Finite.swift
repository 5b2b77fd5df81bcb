// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

extension Tensor {
  /// The index of the first element that is infinite or not a number, or nil when there is none.
  ///
  /// In a block format only the f16 scale of a block can be so; the index is then that of the block's first element.
  /// Integers are always finite. One pass over the tensor; nothing is reserved.
  package func firstNonFinite() -> Int? {
    switch dtype {
    case .f32: firstIndex(count: elementCount, stride: 4, exponent: UInt32(0x7F80_0000))
    case .f16: firstIndex(count: elementCount, stride: 2, exponent: UInt16(0x7C00))
    case .bf16: firstIndex(count: elementCount, stride: 2, exponent: UInt16(0x7F80))
    case .q8_0, .q4_0:
      firstIndex(count: elementCount / dtype.blockElements, stride: dtype.blockBytes, exponent: UInt16(0x7C00))
        .map { $0 * dtype.blockElements }
    case .i32, .i64, .u8: nil
    }
  }

  /// The first of `count` floats, `stride` bytes apart, whose exponent bits are all set: infinity or NaN.
  private func firstIndex<Bits: FixedWidthInteger & BitwiseCopyable>(count: Int, stride: Int, exponent: Bits) -> Int? {
    let base = base
    for index in 0..<count
    where Bits(littleEndian: base.loadUnaligned(fromByteOffset: index * stride, as: Bits.self)) & exponent == exponent {
      return index
    }
    return nil
  }
}
