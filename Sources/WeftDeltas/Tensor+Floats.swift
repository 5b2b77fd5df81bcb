// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension Tensor {
  /// All elements of an F32, F16 or BF16 tensor in row-major order; every value is exact.
  var floats: [Float] {
    let base = base
    func values<Bits: FixedWidthInteger & BitwiseCopyable>(_ float: (Bits) -> Float) -> [Float] {
      (0..<elementCount).map {
        float(Bits(littleEndian: base.loadUnaligned(fromByteOffset: $0 * Bits.bitWidth / 8, as: Bits.self)))
      }
    }
    return switch dtype {
    case .f32: values { (bits: UInt32) in Float(bitPattern: bits) }
    case .f16: values { (bits: UInt16) in Float(Float16(bitPattern: bits)) }
    case .bf16: values { (bits: UInt16) in Float(bitPattern: UInt32(bits) << 16) }
    case .q8_0, .q4_0, .i32, .i64, .u8: preconditionFailure("\(dtype.name) is no type of a delta's factor")
    }
  }
}
