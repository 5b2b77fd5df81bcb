// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

extension Tensor {
  /// A random factor of a low rank: floats in -0.3 ... 0.3 in any float type, or blocks of a quantised one whose values are of that
  /// size, with its columns padded to whole blocks.
  package static func randomFactor(
    _ dtype: DType, rows: Int, columns: Int, using generator: inout SeededGenerator
  ) throws -> Tensor {
    guard dtype.isQuantized else {
      let values = generator.floats(rows * columns, in: -0.3...0.3)
      return try Tensor(rounding: values, shape: [rows, columns], to: dtype)
    }
    let unit = dtype.blockElements
    let padded = (columns + unit - 1) / unit * unit
    if dtype == .ternary {
      let codes = try randomBlocks(.ternary, rows: rows, columns: padded, using: &generator)
      return Tensor(dtype: .ternary, shape: codes.shape, storage: codes.storage, offset: 0, scale: 0.2)!
    }
    let values = try Tensor(generator.floats(rows * padded, in: -0.3...0.3), shape: [rows, padded])
    let storage = try Storage(byteCount: rows * padded / unit * dtype.blockBytes)
    values.encodeRows(0..<rows, as: dtype, into: storage.base)
    return Tensor(dtype: dtype, shape: [rows, padded], storage: storage, offset: 0)!
  }
}
