// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing
import WeftTensors

/// Narrow matrices, B of low rank: every tier and every way to cut rows and tiles gives the bits of the scalar kernel, which is the
/// formula; packing loses nothing.
struct NarrowKernelTests {
  static let types: [DType] = [.q8_0, .q4_0, .ternary]
  static let floats: [DType] = [.f32, .f16, .bf16]
  static let ranks = [1, 3, 4, 7, 8, 12, 16, 20, 31, 32, 33, 36, 64, 100]
  static let mostRows = 9

  struct Product {
    let tensor: Tensor
    let matrix: PackedMatrix
    let rank: Int
    let u: [Float]
    let uStride: Int
    let yStride: Int
    let before: [Float]

    init(_ dtype: DType, tiles: Int, rank: Int, seed: UInt64) throws {
      var generator = SeededGenerator(seed: seed)
      tensor = try Tensor.randomFactor(dtype, rows: tiles * 16 - 5, columns: rank, using: &generator)
      if dtype.isQuantized {
        let storage = try Storage(unwritten: PackedMatrix.narrowByteCount(of: tensor, columns: rank))
        matrix = PackedMatrix(narrow: tensor, columns: rank, in: storage, at: 0)
      } else {
        matrix = try PackedMatrix(tensor, pool: ThreadPool(threads: 1))
      }
      (self.rank, uStride, yStride) = (rank, rank + 3, tiles * 16 + 7)
      // Behind the rank is what must not be read into a result.
      u = generator.floats(mostRows * uStride).enumerated().map { $0 % (rank + 3) < rank ? $1 : poison }
      before = generator.floats(mostRows * yStride)
    }

    func run(_ kernels: Kernels, rows: Range<Int>, tiles: Range<Int>) -> [Float] {
      var y = before
      y.withUnsafeMutableBufferPointer { y in
        u.withUnsafeBufferPointer { u in
          kernels.expand(
            y.baseAddress! + rows.lowerBound * yStride, yStride: yStride, matrix.view,
            u.baseAddress! + rows.lowerBound * uStride, uStride: uStride, tiles: tiles, rows: rows.count)
        }
      }
      return y
    }

    /// `before` with some rows and tiles of `whole` in it.
    func expectation(_ whole: [Float], rows: Range<Int>, tiles: Range<Int>) -> [Float] {
      var y = before
      for row in rows {
        let range = row * yStride + tiles.lowerBound * 16..<row * yStride + tiles.upperBound * 16
        y.replaceSubrange(range, with: whole[range])
      }
      return y
    }
  }

  @Test(arguments: types + floats, ISA.allCases.filter(\.isAvailable)) func everyCutGivesTheBitsOfScalar(dtype: DType, isa: ISA)
    throws
  {
    let kernels = Kernels(isa: isa)
    for rank in Self.ranks {
      for tiles in [1, 2, 5] {
        let product = try Product(dtype, tiles: tiles, rank: rank, seed: UInt64(rank * 8 + tiles))
        let whole = product.run(Kernels(isa: .scalar), rows: 0..<Self.mostRows, tiles: 0..<tiles)
        for rows in [0..<Self.mostRows, 0..<1, 3..<4, 1..<6, 2..<9] {
          for part in Set([0..<tiles, tiles - 1..<tiles, tiles / 2..<tiles, 0..<(tiles + 1) / 2]) {
            let found = product.run(kernels, rows: rows, tiles: part)
            if !sameBits(found, product.expectation(whole, rows: rows, tiles: part)) {
              Issue.record("rank \(rank): rows \(rows), tiles \(part) of \(tiles)")
            }
          }
        }
      }
    }
  }

  @Test(arguments: types + floats) func scalarIsTheFormula(dtype: DType) throws {
    var worst: Float = 0
    for rank in Self.ranks {
      let product = try Product(dtype, tiles: 3, rank: rank, seed: UInt64(rank))
      let found = product.run(Kernels(isa: .scalar), rows: 0..<Self.mostRows, tiles: 0..<3)
      let weights = referenceFloats(product.tensor).map { $0 / product.tensor.scale }
      var expected = product.before
      for row in 0..<Self.mostRows {
        let u = try ActivationRows(
          (0..<(rank + 31) / 32 * 32).map { $0 < rank ? product.u[row * product.uStride + $0] : 0 },
          columns: (rank + 31) / 32 * 32, as: dtype.isQuantized ? .blocks : .floats, padding: 0, kernels: Kernels(isa: .scalar)
        ).values
        for r in 0..<product.tensor.rows {
          var sum = Double(product.before[row * product.yStride + r])
          for c in 0..<rank { sum += Double(weights[r * product.tensor.columns + c]) * Double(u[c]) }
          expected[row * product.yStride + r] = Float(sum)
        }
        // Rows behind the last one are zero: y stays.
      }
      worst = max(worst, relativeError(found, expected))
    }
    // Measured: 1.07e-7 (Q8_0); of floats, which round after every column, 3.66e-7 (BF16).
    #expect(worst <= (dtype.isQuantized ? 2.2e-7 : 7.4e-7))
  }

  @Test(arguments: types) func packingLosesNothing(dtype: DType) throws {
    for rank in Self.ranks {
      let product = try Product(dtype, tiles: 3, rank: rank, seed: UInt64(rank))
      let back = try product.matrix.view.unpacked(rows: 0..<product.tensor.rows, scale: product.tensor.scale)
      #expect(back.shape == product.tensor.shape && back.dtype == dtype && back.scale == product.tensor.scale)
      let (found, expected) = (back.floats(), product.tensor.floats())
      let same = expected.indices.allSatisfy { index in
        // What is behind the last group of four columns is not kept.
        index % product.tensor.columns < (rank + 3) / 4 * 4
          ? found[index] == expected[index] : found[index] == 0
      }
      #expect(same, "rank \(rank)")
    }
  }

  @Test(arguments: MatrixView.factorTypes) func tilesComeBackBitForBit(dtype: DType) throws {
    var generator = SeededGenerator(seed: 3)
    for columns in dtype.isQuantized ? [32, 96, 256, 352] : [1, 7, 33] {
      let tensor = try Tensor.randomFactor(dtype, rows: 37, columns: columns, using: &generator)
      let matrix = try PackedMatrix(tensor, pool: ThreadPool(threads: 1))
      for rows in [0..<37, 5..<21, 36..<37] {
        let back = try matrix.view.unpacked(rows: rows, scale: tensor.scale)
        let expected = tensor.slice(rows: rows)
        #expect(back.shape == expected.shape && back.scale == tensor.scale)
        #expect(memcmp(back.base, expected.base, back.byteCount) == 0, "\(columns) columns, rows \(rows)")
      }
    }
  }

  @Test func memoryIsThatOfTheRank() throws {
    let sizes: [(DType, rank: Int, bits: Int)] = [
      (.ternary, 8, 16), (.ternary, 16, 32), (.ternary, 64, 128), (.q8_0, 8, 80), (.q8_0, 16, 144), (.q4_0, 16, 80),
    ]
    var generator = SeededGenerator(seed: 4)
    for (dtype, rank, bits) in sizes {
      let tensor = try Tensor.randomFactor(dtype, rows: 896, columns: rank, using: &generator)
      #expect(PackedMatrix.narrowByteCount(of: tensor, columns: rank) == 896 * bits / 8)
    }
  }
}
