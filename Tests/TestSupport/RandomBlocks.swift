// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

extension DType {
  /// Offsets of the f16 in a block of a quantised format: its scale, and its minimum if it has one.
  package var halfOffsets: [Int] {
    switch self {
    case .q8_0, .q4_0, .q5_0, .iq4_nl, .iq4_xs: [0]
    case .q4_1, .q5_1, .q4_k, .q5_k: [0, 2]
    case .q2_k: [80, 82]
    case .q3_k: [108]
    case .q6_k: [208]
    case .tq1_0: [52]
    case .tq2_0: [64]
    default: []
    }
  }
}

extension Tensor {
  /// Random blocks of a quantised format: every bit is random but those of the floating-point scales, which are below 0.02, of
  /// MXFP4's exponents, which stand for 2^-9 to 2^-6, and of ternary codes, of which one stands for nothing.
  package static func randomBlocks(
    _ dtype: DType, rows: Int, columns: Int, using generator: inout SeededGenerator
  ) throws -> Tensor {
    precondition(dtype.isQuantized && columns % dtype.blockElements == 0)
    let blocks = rows * columns / dtype.blockElements
    let storage = try Storage(byteCount: blocks * dtype.blockBytes)
    for index in storage.bytes.indices { storage.bytes[index] = UInt8.random(in: 0...255, using: &generator) }
    for block in 0..<blocks {
      let start = block * dtype.blockBytes
      for offset in dtype.halfOffsets {
        let half = Float16(Float.random(in: -0.02...0.02, using: &generator)).bitPattern
        storage.bytes.storeBytes(of: half, toByteOffset: start + offset, as: UInt16.self)
      }
      if dtype == .mxfp4 { storage.bytes[start] = UInt8.random(in: 118...121, using: &generator) }
      if dtype == .ternary { storage.bytes[start] &= ~(storage.bytes[start] & ~(storage.bytes[start] << 1) & 0xAA) }
    }
    return Tensor(dtype: dtype, shape: [rows, columns], storage: storage, offset: 0)!
  }
}
