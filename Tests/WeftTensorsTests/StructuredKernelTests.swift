// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftTensors

extension StructuredExpansion {
  /// Cosine and sine of j / count turns.
  static func cosines(_ count: Int) -> [(cos: Double, sin: Double)] {
    (0..<count).map { (cos(2 * .pi * Double($0) / Double(count)), sin(2 * .pi * Double($0) / Double(count))) }
  }
}

struct StructuredKernelTests {
  static let forms = StructuredOperator.Form.allCases

  /// Sizes [out, in]: ones, tails, primes, and those of small models.
  static let sizes = [
    [1, 1], [1, 7], [5, 1], [3, 2], [17, 31], [33, 65], [64, 48], [101, 96], [103, 107], [128, 97], [211, 12], [96, 160],
    [257, 256], [896, 128],
  ]

  /// y += weight * D x with NaN behind everything that the kernel may write.
  private static func apply(_ op: StructuredOperator, _ x: [Float], rows: Range<Int>, weight: Float = 1) -> [Float] {
    let guarded = 8
    var y = [Float](repeating: 0, count: rows.count) + [Float](repeating: poison, count: guarded)
    var scratch = [Float](repeating: poison, count: op.scratchCount + guarded)
    scratch.withUnsafeMutableBufferPointer { scratch in
      y.withUnsafeMutableBufferPointer {
        op.apply(x, addingTo: $0.baseAddress!, weight: weight, rows: rows, scratch: scratch.baseAddress!)
      }
    }
    let untouched = [Float](repeating: poison, count: guarded)
    #expect(sameBits(Array(y.suffix(guarded)), untouched), "\(op.form) writes beyond its rows")
    #expect(sameBits(Array(scratch.suffix(guarded)), untouched), "\(op.form) writes beyond its scratch")
    return Array(y.prefix(rows.count))
  }

  /// Largest relative error over all sizes and variants, times 2.
  static let bounds: [StructuredOperator.Form: Float] = [:]

  @Test(arguments: forms) func appliesItsExpansion(form: StructuredOperator.Form) throws {
    var worst: Float = 0
    for (index, size) in Self.sizes.enumerated() {
      for variant in 0..<4 {
        guard let op = try StructuredExpansion(form, out: size[0], in: size[1], seed: 100 * variant + index + variant)
        else { continue }
        var generator = SeededGenerator(seed: UInt64(index))
        let x = generator.floats(size[1])
        let found = Self.apply(op.structured, x, rows: 0..<size[0])
        worst = max(worst, relativeError(found, op.product(x, rows: 0..<size[0])))
      }
    }
    print("MEASURED", form, worst)
    #expect(worst <= Self.bounds[form, default: 0], "\(form): \(worst)")
  }

  /// Any part of the rows has the bits that it has among all rows; the weight multiplies.
  @Test(arguments: forms) func rowsAreIndependent(form: StructuredOperator.Form) throws {
    for size in [[33, 65], [96, 160], [103, 107]] {
      guard let op = try StructuredExpansion(form, out: size[0], in: size[1], seed: 6)?.structured else { continue }
      var generator = SeededGenerator(seed: 1)
      let x = generator.floats(size[1])
      let all = Self.apply(op, x, rows: 0..<size[0])
      for rows in [0..<1, 3..<3, 5..<17, 31..<33, size[0] - 1..<size[0]] {
        #expect(sameBits(Self.apply(op, x, rows: rows), Array(all[rows])), "\(form) \(rows)")
      }
      let twice = Self.apply(op, x, rows: 0..<size[0], weight: -2)
      #expect(sameBits(twice, all.map { -2 * $0 }), "\(form)")
    }
  }

  static let materializedBounds: [StructuredOperator.Form: Float] = [:]

  @Test(arguments: forms) func materializesItsExpansion(form: StructuredOperator.Form) throws {
    var worst: Float = 0
    for (index, size) in [[5, 1], [17, 31], [64, 48], [103, 107], [96, 160]].enumerated() {
      for variant in 0..<4 {
        guard let op = try StructuredExpansion(form, out: size[0], in: size[1], seed: 10 * variant + index + variant)
        else { continue }
        let expected = (0..<size[0] * size[1]).map { Float(op.element($0 / size[1], $0 % size[1])) }
        let found = op.structured.materialize()
        worst = max(worst, relativeError(found, expected))
        #expect(sameBits(op.structured.materialize(rows: 2..<5), Array(found[2 * size[1]..<5 * size[1]])))
      }
    }
    print("MATERIALIZED", form, worst)
    #expect(worst <= Self.materializedBounds[form, default: 0], "\(form): \(worst)")
  }

  /// The sizes of real models: some rows of the expansion are enough.
  @Test(arguments: [[896, 4864], [4864, 896], [2048, 5632], [768, 50257]]) func transformsOfModelSizes(size: [Int]) throws {
    let op = try #require(try StructuredExpansion(.fourier, out: size[0], in: size[1], seed: 3))
    var generator = SeededGenerator(seed: 2)
    let x = generator.floats(size[1])
    let rows = size[0] - 3..<size[0]
    let scale = Self.apply(op.structured, x, rows: 0..<size[0]).map(abs).max() ?? 0
    let error = maximumDifference(Self.apply(op.structured, x, rows: rows), op.product(x, rows: rows)) / scale
    print("MODEL", size, error)
    #expect(error <= 0)
  }

  static let lengths = [1, 2, 3, 4, 5, 6, 7, 8, 12, 19, 64, 97, 101, 105, 206, 243, 896, 1000, 1009, 1187, 2048, 4864]

  @Test(arguments: lengths) func transformsAnyLength(count: Int) throws {
    var generator = SeededGenerator(seed: UInt64(count))
    let (re, im) = (generator.floats(count), generator.floats(count))
    var (foundRe, foundIm) = (re, im)
    try FourierTransform(count: count).run(&foundRe, &foundIm)
    let turns = StructuredExpansion.cosines(count)
    var (expected, found): ([Float], [Float]) = ([], [])
    for k in stride(from: 0, to: count, by: max(1, count / 50)) {
      var (a, b) = (0.0, 0.0)
      for j in 0..<count {
        let turn = turns[j * k % count]
        a += Double(re[j]) * turn.cos - Double(im[j]) * turn.sin
        b += Double(re[j]) * turn.sin + Double(im[j]) * turn.cos
      }
      expected += [Float(a), Float(b)]
      found += [foundRe[k], foundIm[k]]
    }
    print("LENGTH", count, relativeError(found, expected))
    #expect(relativeError(found, expected) <= 0)
  }
}
