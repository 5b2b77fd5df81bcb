// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors

/// Packing and its way back: multiplying by unit vectors gives the dequantised columns, bit for bit.
struct PackedMatrixTests {
  /// A row of activations that stands for exactly 1 at `column` and 0 elsewhere.
  static func unit(_ column: Int, of matrix: MatrixView) throws -> Storage {
    let columns = matrix.columns
    guard matrix.inputForm == .blocks else {
      return try Tensor((0..<columns).map { $0 == column ? 1 : 0 }, shape: [columns]).storage
    }
    let row = try Storage(byteCount: MatrixView.rowBytes(.blocks, columns: columns))
    for index in row.bytes.indices { row.bytes[index] = 0 }
    let block = row.base + column / 32 * quantizedBlockBytes
    block.storeBytes(of: 1, toByteOffset: column % 32, as: Int8.self)
    block.storeBytes(of: 1, toByteOffset: 32, as: Float.self)
    block.storeBytes(of: -1, toByteOffset: 36, as: Int32.self)
    block.storeBytes(of: -1, toByteOffset: 40, as: Float.self)
    block.storeBytes(of: -1, toByteOffset: 44 + column % 32 / 16 * 4, as: Int32.self)
    return row
  }

  /// Every element of the packed matrix, [paddedRows][columns].
  static func elements(_ packed: PackedMatrix) throws -> [Float] {
    let scalar = Kernels(isa: .scalar)
    let matrix = packed.view
    var elements = [Float](repeating: 0, count: matrix.paddedRows * matrix.columns)
    for column in 0..<matrix.columns {
      let x = try unit(column, of: matrix)
      var y = [Float](repeating: poison, count: matrix.paddedRows)
      withExtendedLifetime((packed, x)) {
        scalar.multiply(
          &y, yStride: matrix.paddedRows, matrix, x.base, xStride: x.bytes.count, tiles: 0..<matrix.tileCount, rows: 1,
          accumulate: false)
      }
      for row in 0..<matrix.paddedRows { elements[row * matrix.columns + column] = y[row] }
    }
    return elements
  }

  /// What `elements` has to be: the file's rows in the order of the map, then rows of zeros.
  static func expected(_ tensor: Tensor, rowMap: [Int32]?) -> [Float] {
    let (values, columns) = (referenceFloats(tensor), tensor.columns)
    let rows = rowMap?.map(Int.init) ?? Array(0..<tensor.rows)
    let mapped = rows.flatMap { row in values[row * columns..<(row + 1) * columns] }
    return mapped + [Float](repeating: 0, count: (MatrixView.padded(tensor.rows) - tensor.rows) * columns)
  }

  @Test(arguments: weightFormats) func unitVectorsGiveBackTheRows(dtype: DType) throws {
    let pool = try ThreadPool(threads: 2)
    var generator = SeededGenerator(seed: 13)
    for rows in [1, 2, 15, 16, 17, 31, 32, 33, 65] {
      let columns = dtype.isQuantized ? dtype.columnUnit == 32 ? 352 : 512 : 5
      let tensor = try Tensor.random(dtype, rows: rows, columns: columns, .extremeScales, using: &generator)
      let map = (0..<Int32(rows)).shuffled(using: &generator)
      for rowMap in [nil, map] {
        let matrix = try PackedMatrix(tensor, rowMap: rowMap, pool: pool)
        let view = matrix.view
        #expect((view.rows, view.columns, view.dtype) == (rows, tensor.columns, dtype))
        #expect(view.tileCount == (rows + 15) / 16 && view.paddedRows == view.tileCount * 16)
        #expect(try Self.elements(matrix) == Self.expected(tensor, rowMap: rowMap), "\(rows) rows")
      }
    }
  }

  /// More tiles than a slice of the pool has, with any number of threads; and another tensor in the same memory.
  @Test(arguments: weightFormats, 1...3) func packingInSlicesAndAgain(dtype: DType, threads: Int) throws {
    let pool = try ThreadPool(threads: threads)
    var generator = SeededGenerator(seed: 14)
    let columns = max(32, dtype.blockElements)
    let (first, second) = (
      try Tensor.random(dtype, rows: 16 * 19 + 3, columns: columns, using: &generator),
      try Tensor.random(dtype, rows: 16 * 19 + 3, columns: columns, using: &generator)
    )
    let matrix = try PackedMatrix(first, pool: pool)
    #expect(try Self.elements(matrix) == Self.expected(first, rowMap: nil))
    let map = (0..<Int32(second.rows)).shuffled(using: &generator)
    matrix.repack(second, rowMap: map, pool: pool)
    #expect(try Self.elements(matrix) == Self.expected(second, rowMap: map))
  }

  /// What a packed weight takes: as many bits as in the file, but for integer scales, which get a byte each, ternary digits, which
  /// get two bits each, and the scales of MXFP4, which get 16 bits.
  @Test(arguments: weightFormats) func memoryIsThatOfTheFormat(dtype: DType) throws {
    let packedBlockBytes: [DType: Int] = [
      .q2_k: 100, .q3_k: 114, .q4_k: 148, .q5_k: 180, .iq4_xs: 138, .tq1_0: 66, .mxfp4: 18,
    ]
    var generator = SeededGenerator(seed: 15)
    let tensor = try Tensor.random(dtype, rows: 20, columns: 512, using: &generator)
    let matrix = try PackedMatrix(tensor, pool: ThreadPool(threads: 1))
    #expect(matrix.byteCount == 32 * 512 / dtype.blockElements * (packedBlockBytes[dtype] ?? dtype.blockBytes))
    #expect(matrix.view.inputForm == (dtype.isQuantized ? .blocks : .floats))
  }

  @Test func rowsAreWholeCacheLines() {
    for (columns, blocks, rounded) in [
      (0, 0, 0), (32, 64, 64), (64, 128, 128), (96, 192, 192), (256, 448, 512), (4096, 6656, 8192),
    ] {
      #expect(MatrixView.rowBytes(.blocks, columns: columns) == blocks)
      #expect(MatrixView.rowBytes(.rounded, columns: columns) == rounded)
      #expect(MatrixView.rowBytes(.floats, columns: columns) == columns * 4)
    }
  }
}
