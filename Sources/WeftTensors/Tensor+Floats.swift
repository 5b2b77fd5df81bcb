// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

extension Tensor {
  /// All elements as f32, row-major. The dtype must be a weight format.
  package func floats() -> [Float] {
    precondition(dtype.isWeight)
    return [Float](unsafeUninitializedCapacity: elementCount) { buffer, count in
      if let target = buffer.baseAddress { dequantize(into: target, base, elementCount) }
      count = elementCount
    }
  }

  /// One row as f32 into `target`, which has room for `columns` floats. The row must exist.
  package func dequantizeRow(_ row: Int, into target: UnsafeMutablePointer<Float>) {
    dequantize(into: target, base + row * rowBytes, columns)
  }

  private func dequantize(into target: UnsafeMutablePointer<Float>, _ source: UnsafeRawPointer, _ count: Int) {
    weft_dequantize(target, Int32(dtype.rawValue), source, count)
    if scale != 1 { for i in 0..<count { target[i] *= scale } }
  }

  /// Index of the first element that is (or of the first element of the block whose scale is) NaN or infinite; nil when all are
  /// finite.
  package func firstNonFinite() -> Int? {
    guard dtype.isWeight else { return nil }
    guard scale.isFinite else { return elementCount > 0 ? 0 : nil }
    let index = weft_first_non_finite(Int32(dtype.rawValue), base, elementCount)
    return index < 0 ? nil : index
  }

  /// Index of the first element of a ternary tensor whose code stands for nothing; nil when there is none, and for other dtypes.
  /// Whoever reads ternary tensors from a file refuses it.
  package func firstInvalidCode() -> Int? {
    guard dtype == .ternary else { return nil }
    let index = weft_first_invalid_ternary(base, elementCount)
    return index < 0 ? nil : index
  }

  /// A copy in another float format, rounded to nearest even. The source must be a weight format, the target f32, f16 or bf16.
  package func converted(to target: DType) throws(StorageError) -> Tensor {
    precondition(dtype.isWeight && (target == .f32 || target == .f16 || target == .bf16))
    if target == dtype { return self }
    return try Tensor(rounding: floats(), shape: shape, to: target)
  }

  /// f32 values rounded into a float format, in memory of its own.
  package init(rounding values: [Float], shape: [Int], to dtype: DType) throws(StorageError) {
    precondition(Tensor.elementCount(of: shape) == values.count && (dtype == .f32 || dtype == .f16 || dtype == .bf16))
    let storage = try Storage(byteCount: values.count * dtype.blockBytes)
    values.withUnsafeBufferPointer {
      if let source = $0.baseAddress { weft_round_row(storage.base, Int32(dtype.rawValue), source, values.count) }
    }
    self.init(dtype: dtype, shape: shape, storage: storage, offset: 0)!
  }
}
