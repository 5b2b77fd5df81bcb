// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing
import WeftTensors

/// The products: every tier and every way to cut rows and tiles gives the bits of the scalar kernel, and nothing else is written.
struct MatmulKernelTests {
  /// Beyond every blocking factor of the kernels, and beyond the 24 rows that stay in the cache when rows are long.
  static let mostRows = 29
  static let mostTiles = 5

  /// One product and its result by the scalar kernel, with and without `accumulate`.
  struct Product {
    let matrix: PackedMatrix
    let x: ActivationRows
    let yStride: Int
    let before: [Float]
    private(set) var expected: [[Float]] = []

    init(
      _ dtype: DType, tiles: Int, columns: Int, padding: Int, _ difficulty: Tensor.Difficulty = .plain,
      roundsInput: Bool = false, seed: UInt64
    ) throws {
      var generator = SeededGenerator(seed: seed)
      let scalar = Kernels(isa: .scalar)
      let tensor = try Tensor.random(
        dtype, rows: tiles * 16 - 5, columns: columns, difficulty, using: &generator)
      matrix = try PackedMatrix(tensor, roundsInput: roundsInput, pool: ThreadPool(threads: 1))
      let floats = (0..<mostRows * columns).map { index -> Float in
        guard difficulty == .extremeIntegers else { return Float.random(in: -2...2, using: &generator) }
        // The first two rows have the largest sums.
        return index < columns ? 1 : index < 2 * columns ? -1 : [-1, 1].randomElement(using: &generator)!
      }
      x = try ActivationRows(floats, columns: columns, as: matrix.view.inputForm, padding: padding, kernels: scalar)
      yStride = tiles * 16 + 7
      before = generator.floats((mostRows + 1) * yStride)
      expected = [false, true].map { accumulate in
        run(scalar, rows: 0..<mostRows, tiles: 0..<matrix.view.tileCount, accumulate: accumulate)
      }
    }

    /// The output buffer after the product of some rows and tiles; poison where nothing may be written.
    func run(_ kernels: Kernels, rows: Range<Int>, tiles: Range<Int>, accumulate: Bool) -> [Float] {
      var y = [Float](repeating: poison, count: before.count)
      if accumulate { copy(rows: rows, tiles: tiles, of: before, to: &y) }
      y.withUnsafeMutableBufferPointer {
        kernels.multiply(
          $0.baseAddress! + rows.lowerBound * yStride, yStride: yStride, matrix.view,
          x.storage.base + rows.lowerBound * x.stride, xStride: x.stride, tiles: tiles, rows: rows.count,
          accumulate: accumulate)
      }
      return y
    }

    /// What `run` has to leave.
    func expectation(rows: Range<Int>, tiles: Range<Int>, accumulate: Bool) -> [Float] {
      var y = [Float](repeating: poison, count: before.count)
      copy(rows: rows, tiles: tiles, of: expected[accumulate ? 1 : 0], to: &y)
      return y
    }

    private func copy(rows: Range<Int>, tiles: Range<Int>, of source: [Float], to target: inout [Float]) {
      for row in rows {
        let first = row * yStride + tiles.lowerBound * 16
        target.replaceSubrange(first..<first + tiles.count * 16, with: source[first..<first + tiles.count * 16])
      }
    }
  }

  static func expectScalarBits(_ product: Product, _ kernels: Kernels, tiles: Range<Int>, _ place: String) {
    // All row counts from the first row, and every row alone; a few of them where the rows are long, and of scalar by itself.
    let isShort = product.matrix.view.columns <= 256 && kernels.isa != .scalar
    let counts = isShort ? Array(1...mostRows) : [1, 2, 3, 4, 7, 12, 15, mostRows]
    let cuts = counts.map { 0..<$0 } + (isShort ? Array(1..<mostRows) : [5, mostRows - 1]).map { $0..<$0 + 1 }
    for accumulate in [false, true] {
      for rows in cuts {
        let found = product.run(kernels, rows: rows, tiles: tiles, accumulate: accumulate)
        let same = sameBits(found, product.expectation(rows: rows, tiles: tiles, accumulate: accumulate))
        if !same { Issue.record("\(place): rows \(rows), tiles \(tiles), accumulate \(accumulate)") }
      }
    }
  }

  @Test(arguments: weightFormats, availableTiers)
  func everyCutOfRowsAndTilesGivesTheBitsOfScalar(dtype: DType, isa: ISA) throws {
    let kernels = Kernels(isa: isa)
    let widths =
      dtype.isQuantized
      ? (dtype.columnUnit == 32 ? [1, 3, 8, 11] : [1, 2, 3]).map { $0 * dtype.columnUnit } : [1, 2, 3, 16, 17, 33, 100]
    for (index, columns) in widths.enumerated() {
      for tiles in 1...Self.mostTiles {
        let product = try Product(
          dtype, tiles: tiles, columns: columns, padding: tiles % 2 * 12, seed: UInt64(index * 10 + tiles))
        Self.expectScalarBits(product, kernels, tiles: 0..<tiles, "\(columns) columns")
        guard tiles == Self.mostTiles else { continue }
        for part in [0..<1, 1..<4, 2..<4, 3..<5, 4..<5] {
          Self.expectScalarBits(product, kernels, tiles: part, "\(columns) columns")
        }
      }
    }
  }

  /// bf16 weights of a base round their activations; widths beyond what is rounded at once for many rows.
  @Test(arguments: availableTiers) func roundedActivations(isa: ISA) throws {
    for (index, columns) in [1, 2, 3, 17, 100, 1030].enumerated() {
      let product = try Product(.bf16, tiles: 5, columns: columns, padding: 12, roundsInput: true, seed: UInt64(index))
      #expect(product.matrix.view.inputForm == .rounded)
      for tiles in [0..<5, 1..<4] { Self.expectScalarBits(product, Kernels(isa: isa), tiles: tiles, "\(columns) columns") }
    }
  }

  /// Rows so far apart that only 24 of them are multiplied at a time.
  @Test(arguments: weightFormats, availableTiers)
  func rowsThatLeaveTheCache(dtype: DType, isa: ISA) throws {
    let product = try Product(dtype, tiles: 5, columns: max(64, dtype.columnUnit), padding: 40960, seed: 3)
    Self.expectScalarBits(product, Kernels(isa: isa), tiles: 0..<5, "far rows")
  }

  /// The largest products of each quantised format: integer steps on the way must not overflow.
  @Test(arguments: quantizedFormats, availableTiers)
  func largestIntegers(dtype: DType, isa: ISA) throws {
    let product = try Product(dtype, tiles: 3, columns: 3 * max(96, dtype.blockElements), padding: 0, .extremeIntegers, seed: 4)
    Self.expectScalarBits(product, Kernels(isa: isa), tiles: 0..<3, "largest integers")
  }

  /// Scales and minimums of all magnitudes and signs, down to subnormal ones.
  @Test(arguments: quantizedFormats, availableTiers)
  func extremeScales(dtype: DType, isa: ISA) throws {
    let product = try Product(dtype, tiles: 3, columns: 3 * max(96, dtype.blockElements), padding: 0, .extremeScales, seed: 8)
    #expect(product.expected[0].allSatisfy { $0.isFinite || $0.bitPattern == poison.bitPattern })
    Self.expectScalarBits(product, Kernels(isa: isa), tiles: 0..<3, "extreme scales")
  }
}
