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
      _ dtype: DType, tiles: Int, columns: Int, padding: Int, extreme: Bool = false, seed: UInt64
    ) throws {
      var generator = SeededGenerator(seed: seed)
      let scalar = Kernels(isa: .scalar)
      let tensor = try Tensor.random(
        dtype, rows: tiles * 16 - 5, columns: columns, extreme: extreme, using: &generator)
      matrix = try PackedMatrix(tensor, pool: ThreadPool(threads: 1))
      let floats = (0..<mostRows * columns).map { _ in
        extreme ? [-1, 1].randomElement(using: &generator)! : Float.random(in: -2...2, using: &generator)
      }
      x = try ActivationRows(floats, columns: columns, for: dtype, padding: padding, kernels: scalar)
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
    // All row counts from the first row, and every row alone.
    let cuts = (1...mostRows).map { 0..<$0 } + (1..<mostRows).map { $0..<$0 + 1 }
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
    let widths = dtype.isQuantized ? [32, 64, 96, 224] : [1, 2, 3, 16, 17, 33, 100]
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

  /// Rows so far apart that only 24 of them are multiplied at a time.
  @Test(arguments: weightFormats, availableTiers)
  func rowsThatLeaveTheCache(dtype: DType, isa: ISA) throws {
    let product = try Product(dtype, tiles: 5, columns: 64, padding: 40960, seed: 3)
    Self.expectScalarBits(product, Kernels(isa: isa), tiles: 0..<5, "far rows")
  }

  /// The largest products of each quantised format: integer steps on the way must not overflow.
  @Test(arguments: [DType.q8_0, .q4_0], availableTiers)
  func largestIntegers(dtype: DType, isa: ISA) throws {
    let product = try Product(dtype, tiles: 3, columns: 288, padding: 0, extreme: true, seed: 4)
    Self.expectScalarBits(product, Kernels(isa: isa), tiles: 0..<3, "largest integers")
  }

  /// The scalar kernel against the formula in f64, on the values that weights and activations stand for.
  @Test(arguments: weightFormats) func scalarIsTheFormula(dtype: DType) throws {
    let (rows, columns, count) = (27, 96, 5)
    var generator = SeededGenerator(seed: 5)
    let tensor = try Tensor.random(dtype, rows: rows, columns: columns, using: &generator)
    let matrix = try PackedMatrix(tensor, pool: ThreadPool(threads: 1))
    let scalar = Kernels(isa: .scalar)
    let x = try ActivationRows(
      generator.floats(count * columns), columns: columns, for: dtype, padding: 0, kernels: scalar)
    var y = [Float](repeating: 0, count: count * 32)
    withExtendedLifetime((matrix, x)) {
      scalar.multiply(
        &y, yStride: 32, matrix.view, x.storage.base, xStride: x.stride, tiles: 0..<2, rows: count, accumulate: false)
    }
    let weights = referenceFloats(tensor)
    var (found, expected): ([Float], [Float]) = ([], [])
    for t in 0..<count {
      for r in 0..<32 {
        var sum = 0.0
        for c in 0..<columns where r < rows { sum += Double(weights[r * columns + c]) * Double(x.values[t * columns + c]) }
        found.append(y[t * 32 + r])
        expected.append(Float(sum))
      }
    }
    // Measured: 3.05e-7 (F32, F16), 2.3e-7 (BF16), 1.2e-7 (Q4_0), 6.6e-8 (Q8_0).
    #expect(relativeError(found, expected) <= (dtype.isQuantized ? 2.4e-7 : 6.1e-7))
  }
}
