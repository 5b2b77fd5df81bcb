// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

/// A packed matrix without its owner: what the token loop passes around. Valid while the `PackedMatrix` lives.
///
/// y = W x with W [rows, columns]; packed in tiles of 16 interleaved rows (`kernels.h` gives the layout).
package struct MatrixView {
  package let base: UnsafeRawPointer
  package let dtype: DType
  package let rows: Int
  package let columns: Int

  /// Tiles of 16 rows, the last one padded with zeros.
  package var tileCount: Int { (rows + MatrixView.tileRows - 1) / MatrixView.tileRows }
  /// Rows rounded up to whole tiles: the width that an output row must have.
  package var paddedRows: Int { tileCount * MatrixView.tileRows }
  /// Whether products want activations in int8 blocks.
  package var wantsQuantizedInput: Bool { dtype.isQuantized }

  /// Output rows in a tile.
  package static let tileRows = Int(WEFT_TILE)
  /// Columns in a quantised block of activations.
  package static let blockColumns = Int(WEFT_BLOCK)

  /// `count` rounded up to a whole number of tiles.
  package static func padded(_ count: Int) -> Int { (count + tileRows - 1) / tileRows * tileRows }
  /// Bytes of a quantised row of `columns` activations, rounded up to a cache line.
  package static func quantizedRowBytes(columns: Int) -> Int {
    (columns / blockColumns * MemoryLayout<weft_block_q8>.size + 63) / 64 * 64
  }
}

/// A weight matrix in the layout that the kernels want, in memory of its own.
package struct PackedMatrix: @unchecked Sendable {
  private let storage: Storage
  package let view: MatrixView

  /// Bytes of memory.
  package let byteCount: Int

  /// Bytes of memory that packing a tensor takes.
  package static func byteCount(of tensor: Tensor) -> Int {
    Int(weft_packed_bytes(Int32(tensor.dtype.rawValue), tensor.rows, tensor.columns))
  }

  /// Packs `tensor` ([out, in]), all threads together. The dtype must be a weight format.
  /// - Parameter rowMap: for every row of the result the row of the tensor it comes from; nil for the identity.
  package init(_ tensor: Tensor, rowMap: [Int32]? = nil, pool: ThreadPool) throws(StorageError) {
    let storage = try Storage(unwritten: PackedMatrix.byteCount(of: tensor))
    self.init(tensor, rowMap: rowMap, in: storage, at: 0, pool: pool)
  }

  /// The same in memory that other matrices may share: from byte `offset`, a multiple of 64, on.
  package init(_ tensor: Tensor, rowMap: [Int32]? = nil, in storage: Storage, at offset: Int, pool: ThreadPool) {
    precondition(tensor.dtype.isWeight)
    let bytes = PackedMatrix.byteCount(of: tensor)
    precondition(offset >= 0 && offset % 64 == 0 && offset + bytes <= storage.bytes.count)
    self.storage = storage
    byteCount = bytes
    view = MatrixView(
      base: UnsafeRawPointer(storage.base + offset), dtype: tensor.dtype, rows: tensor.rows, columns: tensor.columns)
    repack(tensor, rowMap: rowMap, pool: pool)
  }

  /// Writes another tensor of the same shape and dtype into this matrix. Nobody may be reading it.
  package func repack(_ tensor: Tensor, rowMap: [Int32]? = nil, pool: ThreadPool) {
    precondition(tensor.dtype == view.dtype && tensor.rows == view.rows && tensor.columns == view.columns)
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
