// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

/// A weight matrix in the layout that the kernels want, in memory of its own.
package struct PackedMatrix: @unchecked Sendable {
  private let storage: Storage
  package let view: MatrixView

  /// Bytes of memory.
  package let byteCount: Int

  /// Bytes of memory that packing a tensor takes.
  package static func byteCount(of tensor: Tensor) -> Int {
    byteCount(tensor.dtype, rows: tensor.rows, columns: tensor.columns)
  }

  /// Bytes of memory that packing a tensor of this shape takes.
  package static func byteCount(_ dtype: DType, rows: Int, columns: Int) -> Int {
    Int(weft_packed_bytes(Int32(dtype.rawValue), rows, columns))
  }

  /// The same in memory that several share: the next one begins at a multiple of 64.
  package static func room(for tensor: Tensor) -> Int { (byteCount(of: tensor) + 63) / 64 * 64 }

  /// Packs `tensor` ([out, in]), all threads together. The dtype must be a weight format.
  /// - Parameter rowMap: for every row of the result the row of the tensor it comes from; nil for the identity.
  /// - Parameter roundsInput: whether products round activations to bf16 where the matrix is bf16.
  package init(
    _ tensor: Tensor, rowMap: [Int32]? = nil, roundsInput: Bool = false, pool: ThreadPool
  ) throws(StorageError) {
    let storage = try Storage(unwritten: PackedMatrix.byteCount(of: tensor))
    self.init(tensor, rowMap: rowMap, roundsInput: roundsInput, in: storage, at: 0, pool: pool)
  }

  /// The same in memory that other matrices may share: from byte `offset`, a multiple of 64, on.
  package init(
    _ tensor: Tensor, rowMap: [Int32]? = nil, roundsInput: Bool = false, in storage: Storage, at offset: Int, pool: ThreadPool
  ) {
    precondition(tensor.dtype.isWeight)
    let bytes = PackedMatrix.byteCount(of: tensor)
    precondition(offset >= 0 && offset % 64 == 0 && offset + bytes <= storage.bytes.count)
    self.storage = storage
    byteCount = bytes
    view = MatrixView(
      base: UnsafeRawPointer(storage.base + offset), dtype: tensor.dtype, rows: tensor.rows, columns: tensor.columns,
      roundsInput: roundsInput && tensor.dtype == .bf16)
    repack(tensor, rowMap: rowMap, pool: pool)
  }

  /// Bytes of a narrow matrix (`MatrixView.isNarrow`) of the first `columns` columns of a tensor.
  package static func narrowByteCount(of tensor: Tensor, columns: Int) -> Int {
    Int(weft_narrow_bytes(Int32(tensor.dtype.rawValue), tensor.rows, columns))
  }

  /// Packs the first `columns` columns of `tensor` as a narrow matrix, in memory that others may share: from byte `offset`, a multiple
  /// of 64, on. The tensor must be q8_0, q4_0 or ternary.
  package init(narrow tensor: Tensor, columns: Int, in storage: Storage, at offset: Int) {
    precondition([.q8_0, .q4_0, .ternary].contains(tensor.dtype) && columns > 0 && columns <= tensor.columns)
    let bytes = PackedMatrix.narrowByteCount(of: tensor, columns: columns)
    precondition(offset >= 0 && offset % 64 == 0 && offset + bytes <= storage.bytes.count)
    self.storage = storage
    byteCount = bytes
    view = MatrixView(
      base: UnsafeRawPointer(storage.base + offset), dtype: tensor.dtype, rows: tensor.rows, columns: columns, isNarrow: true)
    weft_pack_narrow(
      storage.base + offset, Int32(tensor.dtype.rawValue), tensor.base, tensor.rowBytes, tensor.rows, columns)
  }

  /// Writes another tensor of the same shape and dtype into this matrix. Nobody may be reading it.
  package func repack(_ tensor: Tensor, rowMap: [Int32]? = nil, pool: ThreadPool) {
    precondition(!view.isNarrow && tensor.dtype == view.dtype && tensor.rows == view.rows && tensor.columns == view.columns)
    precondition(rowMap.map { $0.count == tensor.rows && $0.allSatisfy { $0 >= 0 && $0 < tensor.rows } } ?? true)
    let (destination, tiles) = (UnsafeMutableRawPointer(mutating: view.base), view.tileCount)
    defer { withExtendedLifetime(storage) {} }
    pool.run { worker in
      worker.slices(tiles, grain: 16) { range in
        let pack = { (map: UnsafePointer<Int32>?) in
          weft_pack(
            destination, Int32(tensor.dtype.rawValue), tensor.base, tensor.rowBytes, tensor.rows, tensor.columns,
            range.lowerBound, range.upperBound, map)
        }
        if let rowMap { rowMap.withUnsafeBufferPointer { pack($0.baseAddress) } } else { pack(nil) }
      }
    }
  }
}
