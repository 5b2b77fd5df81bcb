// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors

/// A of low rank in floats: every tier and every number of rows gives the bits of the scalar kernel, which is the formula, and nothing
/// else is written.
struct ShrinkKernelTests {
  static let types: [DType] = [.f32, .f16, .bf16]
  static let columns = [1, 2, 7, 32, 33, 96, 352]
  static let mostRows = 29

  struct Product {
    let tensor: Tensor
    let matrix: PackedMatrix
    let x: [Float]
    let (xStride, uStride): (Int, Int)

    init(_ dtype: DType, tiles: Int, columns: Int, seed: UInt64) throws {
      var generator = SeededGenerator(seed: seed)
      tensor = try Tensor.randomFactor(dtype, rows: tiles * 16 - 3, columns: columns, using: &generator)
      matrix = try PackedMatrix(tensor, pool: ThreadPool(threads: 1))
      (xStride, uStride) = (columns + 5, tiles * 16 + 7)
      let stride = xStride
      x = generator.floats(mostRows * stride).enumerated().map { $0 % stride < columns ? $1 : poison }
    }

    func run(_ kernels: Kernels, rows: Range<Int>) -> [Float] {
      var u = [Float](repeating: poison, count: ShrinkKernelTests.mostRows * uStride)
      u.withUnsafeMutableBufferPointer { u in
        x.withUnsafeBufferPointer { x in
          kernels.shrink(
            u.baseAddress! + rows.lowerBound * uStride, uStride: uStride, matrix.view,
            x.baseAddress! + rows.lowerBound * xStride,
            xStride: xStride * 4, rows: rows.count)
        }
      }
      return u
    }
  }

  @Test(arguments: types, availableTiers) func everyCutGivesTheBitsOfScalar(dtype: DType, isa: ISA) throws {
    for columns in Self.columns {
      for tiles in 1...7 {
        let product = try Product(dtype, tiles: tiles, columns: columns, seed: UInt64(columns * 8 + tiles))
        let whole = product.run(Kernels(isa: .scalar), rows: 0..<Self.mostRows)
        for rows in (1...Self.mostRows).map({ 0..<$0 }) + [3..<4, 5..<20, 28..<29] {
          var expected = [Float](repeating: poison, count: whole.count)
          for row in rows {
            let range = row * product.uStride..<row * product.uStride + tiles * 16
            expected.replaceSubrange(range, with: whole[range])
          }
          if !sameBits(product.run(Kernels(isa: isa), rows: rows), expected) {
            Issue.record("\(columns) columns, \(tiles) tiles, rows \(rows)")
          }
        }
      }
    }
  }

  @Test(arguments: types) func scalarIsTheFormula(dtype: DType) throws {
    var worst: Float = 0
    for columns in Self.columns {
      let product = try Product(dtype, tiles: 2, columns: columns, seed: UInt64(columns))
      let found = product.run(Kernels(isa: .scalar), rows: 0..<Self.mostRows)
      let weights = referenceFloats(product.tensor)
      var (own, expected): ([Float], [Float]) = ([], [])
      for row in 0..<Self.mostRows {
        for r in 0..<product.tensor.rows {
          var sum = 0.0
          for c in 0..<columns { sum += Double(weights[r * columns + c]) * Double(product.x[row * product.xStride + c]) }
          own.append(found[row * product.uStride + r])
          expected.append(Float(sum))
        }
      }
      worst = max(worst, relativeError(own, expected))
    }
    // Measured: 9.57e-7 (F16).
    #expect(worst <= 1.92e-6)
  }
}
