// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors

/// Packing and its way back: multiplying by unit vectors gives the dequantised columns.
struct PackedMatrixTests {
  /// Every element of the packed matrix times 127, [paddedRows][columns]: 127 e_c is exact in every form of activations, and
  /// a product with one term is rounded once.
  static func elements(_ packed: PackedMatrix) throws -> [Float] {
    let scalar = Kernels(isa: .scalar)
    let matrix = packed.view
    var elements = [Float](repeating: 0, count: matrix.paddedRows * matrix.columns)
    for column in 0..<matrix.columns {
      var unit = [Float](repeating: 0, count: matrix.columns)
      unit[column] = 127
      let x = try ActivationRows(unit, columns: matrix.columns, for: matrix.dtype, padding: 0, kernels: scalar)
      var y = [Float](repeating: poison, count: matrix.paddedRows)
      withExtendedLifetime((packed, x)) {
        scalar.multiply(
          &y, yStride: matrix.paddedRows, matrix, x.storage.base, xStride: x.stride, tiles: 0..<matrix.tileCount, rows: 1,
          accumulate: false)
      }
      for row in 0..<matrix.paddedRows { elements[row * matrix.columns + column] = y[row] }
    }
    return elements
  }

  /// What `elements` has to be: the file's rows in the order of the map, times 127, then rows of zeros.
  static func expected(_ tensor: Tensor, rowMap: [Int32]?) -> [Float] {
    let (values, columns) = (referenceFloats(tensor), tensor.columns)
    let rows = rowMap?.map(Int.init) ?? Array(0..<tensor.rows)
    let mapped = rows.flatMap { row in values[row * columns..<(row + 1) * columns].map { $0 * 127 } }
    return mapped + [Float](repeating: 0, count: (MatrixView.padded(tensor.rows) - tensor.rows) * columns)
  }

  @Test(arguments: weightFormats) func unitVectorsGiveBackTheRows(dtype: DType) throws {
    let pool = try ThreadPool(threads: 2)
    var generator = SeededGenerator(seed: 13)
    for rows in [1, 2, 15, 16, 17, 31, 32, 33, 65] {
      let tensor = try Tensor.random(dtype, rows: rows, columns: dtype.isQuantized ? 64 : 5, using: &generator)
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
    let (first, second) = (
      try Tensor.random(dtype, rows: 16 * 37 + 3, columns: 32, using: &generator),
      try Tensor.random(dtype, rows: 16 * 37 + 3, columns: 32, using: &generator)
    )
    let matrix = try PackedMatrix(first, pool: pool)
    #expect(try Self.elements(matrix) == Self.expected(first, rowMap: nil))
    let map = (0..<Int32(second.rows)).shuffled(using: &generator)
    matrix.repack(second, rowMap: map, pool: pool)
    #expect(try Self.elements(matrix) == Self.expected(second, rowMap: map))
  }

  @Test(arguments: weightFormats) func memoryIsThatOfTheFormat(dtype: DType) throws {
    var generator = SeededGenerator(seed: 15)
    let tensor = try Tensor.random(dtype, rows: 20, columns: 64, using: &generator)
    let matrix = try PackedMatrix(tensor, pool: ThreadPool(threads: 1))
    #expect(matrix.byteCount == dtype.byteCount(elements: 32 * 64))
    #expect(matrix.view.wantsQuantizedInput == dtype.isQuantized)
  }

  @Test func quantizedRowsAreWholeCacheLines() {
    for (columns, bytes) in [(0, 0), (32, 64), (64, 128), (96, 128), (128, 192), (4096, 5120)] {
      #expect(MatrixView.quantizedRowBytes(columns: columns) == bytes)
    }
  }
}
