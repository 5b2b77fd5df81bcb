// SPDX-License-Identifier: Apache-2.0

/// A named-elsewhere, read-only, row-major tensor in somebody's `Storage`.
///
/// `shape` is in PyTorch's order: a weight is [out, in], the last axis is contiguous.
/// The bytes are exactly `dtype.byteCount(elements: elementCount)` long and lie inside `storage`; the initialiser checks it.
package struct Tensor: Sendable {
  package let dtype: DType
  package let shape: [Int]
  package let storage: Storage
  package let offset: Int
  package let byteCount: Int
  /// What the elements' codes are multiplied with: of `ternary`; 1 for every other dtype.
  package let scale: Float

  /// A view of `storage` at byte `offset`. Returns nil when the shape is negative or overflows, when the last axis is not a
  /// whole number of blocks, when the bytes do not lie inside the storage, or when a dtype that has none is given a scale.
  package init?(dtype: DType, shape: [Int], storage: Storage, offset: Int, scale: Float = 1) {
    guard let count = Tensor.elementCount(of: shape), let bytes = dtype.byteCount(elements: count),
      (shape.last ?? 1) % dtype.blockElements == 0, offset >= 0, scale == 1 || dtype == .ternary
    else { return nil }
    let (end, overflow) = offset.addingReportingOverflow(bytes)
    guard !overflow, end <= storage.bytes.count else { return nil }
    self.dtype = dtype
    self.shape = shape
    self.storage = storage
    self.offset = offset
    self.byteCount = bytes
    self.scale = scale
  }

  /// A copy of f32 values in memory of its own. `values.count` must be the product of `shape`.
  package init(_ values: [Float], shape: [Int]) throws(StorageError) {
    precondition(Tensor.elementCount(of: shape) == values.count)
    let storage = try Storage(byteCount: values.count * 4)
    values.withUnsafeBytes { if $0.count > 0 { storage.bytes.copyMemory(from: $0) } }
    self.init(dtype: .f32, shape: shape, storage: storage, offset: 0)!
  }

  /// Some consecutive rows of a matrix (or, of a tensor with more axes, of the matrix that its leading axes make together).
  /// The rows must exist.
  package func slice(rows range: Range<Int>) -> Tensor {
    precondition(range.lowerBound >= 0 && range.upperBound <= rows)
    return Tensor(
      dtype: dtype, shape: [range.count, columns], storage: storage, offset: offset + range.lowerBound * rowBytes,
      scale: scale)!
  }

  /// Product of the shape; nil when a dimension is negative or the product overflows.
  package static func elementCount(of shape: [Int]) -> Int? {
    var count = 1
    for dimension in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow else { return nil }
      count = product
    }
    return count
  }

  package var elementCount: Int { shape.reduce(1, *) }
  /// The first axis of a matrix; 1 for a vector.
  package var rows: Int { shape.count > 1 ? shape.dropLast().reduce(1, *) : 1 }
  /// The last, contiguous axis.
  package var columns: Int { shape.last ?? 1 }
  /// Bytes of one row of `columns` elements.
  package var rowBytes: Int { columns / dtype.blockElements * dtype.blockBytes }
  /// The first byte; may be unaligned. Valid while `storage` lives.
  package var base: UnsafeRawPointer { UnsafeRawPointer(storage.base + offset) }
}
