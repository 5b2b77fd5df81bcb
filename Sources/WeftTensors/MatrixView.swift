// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

/// How a row of activations is given to a product.
package enum InputForm: Sendable {
  /// As it is.
  case floats
  /// Blocks of int8, for quantised weights.
  case blocks
  /// In bf16, for weights in bf16.
  case rounded
}

/// A packed matrix without its owner: what the token loop passes around. Valid while the `PackedMatrix` lives.
///
/// y = W x with W [rows, columns]; packed in tiles of 16 interleaved rows (`kernels.h` gives the layout). A narrow one is the B of
/// a compressed low rank, which quantises its few inputs itself.
package struct MatrixView {
  package let base: UnsafeRawPointer
  private let rowCount: Int32
  private let columnCount: Int32
  package let dtype: DType
  package let isNarrow: Bool
  /// Whether products round their activations to the type of the weights, which is bf16 then.
  package let roundsInput: Bool

  init(
    base: UnsafeRawPointer, dtype: DType, rows: Int, columns: Int, isNarrow: Bool = false, roundsInput: Bool = false
  ) {
    precondition(rows <= Int32.max && columns <= Int32.max)
    self.base = base
    (rowCount, columnCount) = (Int32(rows), Int32(columns))
    self.dtype = dtype
    self.isNarrow = isNarrow
    self.roundsInput = roundsInput
  }

  @inline(__always) package var rows: Int { Int(rowCount) }
  @inline(__always) package var columns: Int { Int(columnCount) }
  /// Tiles of 16 rows, the last one padded with zeros.
  package var tileCount: Int { (rows + MatrixView.tileRows - 1) / MatrixView.tileRows }
  /// Rows rounded up to whole tiles: the width that an output row must have.
  package var paddedRows: Int { tileCount * MatrixView.tileRows }
  /// What products read of a row of activations.
  package var inputForm: InputForm { isNarrow ? .floats : dtype.isQuantized ? .blocks : roundsInput ? .rounded : .floats }

  /// Output rows in a tile.
  package static let tileRows = Int(WEFT_TILE)
  /// Columns in a quantised block of activations.
  package static let blockColumns = Int(WEFT_BLOCK)

  /// `count` rounded up to a whole number of tiles.
  package static func padded(_ count: Int) -> Int { (count + tileRows - 1) / tileRows * tileRows }
  /// Bytes of a row of `columns` activations in one form, rounded up to a cache line.
  package static func rowBytes(_ form: InputForm, columns: Int) -> Int {
    let bytes =
      switch form {
      case .floats: columns * 4
      case .blocks: columns / blockColumns * MemoryLayout<weft_block_q8>.size
      case .rounded: columns * 2
      }
    return (bytes + 63) / 64 * 64
  }

  /// The types that `unpacked` gives back, and that a narrow matrix may have where they are quantised.
  package static let factorTypes: [DType] = [.f32, .f16, .bf16, .q8_0, .q4_0, .ternary]

  /// Some rows as they were before they were packed, bit for bit; of a narrow matrix all rows, with columns padded to whole blocks.
  /// The dtype must be one of `factorTypes`.
  /// - Parameter scale: the scale of a ternary matrix, which is not in its bytes.
  package func unpacked(rows range: Range<Int>, scale: Float = 1) throws(StorageError) -> Tensor {
    precondition(MatrixView.factorTypes.contains(dtype) && range.lowerBound >= 0 && range.upperBound <= rows)
    let unit = dtype.blockElements
    let shape = [range.count, isNarrow ? (columns + unit - 1) / unit * unit : columns]
    let rowBytes = shape[1] / unit * dtype.blockBytes
    let storage = try Storage(byteCount: range.count * rowBytes)
    if isNarrow {
      precondition(range == 0..<rows)
      weft_unpack_narrow(storage.base, Int32(dtype.rawValue), base, rowBytes, rows, columns)
    } else {
      weft_unpack(storage.base, Int32(dtype.rawValue), base, columns, range.lowerBound, range.upperBound)
    }
    guard let tensor = Tensor(dtype: dtype, shape: shape, storage: storage, offset: 0, scale: scale) else {
      preconditionFailure("the memory was made for it")
    }
    return tensor
  }
}
