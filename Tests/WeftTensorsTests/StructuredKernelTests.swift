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
  static let forms = StructuredMatrix.Form.allCases

  /// Sizes [out, in]: ones, tails, primes, and those of small models.
  static let sizes = [
    [1, 1], [1, 7], [5, 1], [3, 2], [17, 31], [33, 65], [64, 48], [101, 96], [103, 107], [128, 97], [211, 12], [96, 160],
    [257, 256], [896, 128],
  ]

  /// y += weight * D x with NaN behind everything that the kernel may write.
  private static func apply(_ op: StructuredMatrix, _ x: [Float], rows: Range<Int>, weight: Float = 1) -> [Float] {
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

  /// Twice the largest relative error over all sizes and variants. Measured: dense 1.40e-7, rows 1.64e-7, sparse 0, signs 1.36e-7,
  /// hadamard 2.43e-7, kronecker 2.51e-6 (one of two cancelling rows), circulant 6.23e-7, fourier 3.93e-7, wavelet 6.62e-7,
  /// basis 3.27e-7, masked 1.66e-7.
  static let bounds: [StructuredMatrix.Form: Float] = [
    .dense: 2.8e-7, .rows: 3.3e-7, .signs: 2.7e-7, .hadamard: 4.9e-7, .kronecker: 5.0e-6, .circulant: 1.2e-6, .fourier: 7.9e-7,
    .wavelet: 1.3e-6, .basis: 6.6e-7, .masked: 3.4e-7,
  ]

  @Test(arguments: forms) func appliesItsExpansion(form: StructuredMatrix.Form) throws {
    var worst: Float = 0
    for (index, size) in Self.sizes.enumerated() {
      for variant in 0..<(size[0] * size[1] > 10_000 ? 1 : 4) {
        guard let op = try StructuredExpansion(form, out: size[0], in: size[1], seed: 100 * variant + index + variant)
        else { continue }
        var generator = SeededGenerator(seed: UInt64(index))
        let x = generator.floats(size[1])
        let found = Self.apply(op.structured, x, rows: 0..<size[0])
        worst = max(worst, relativeError(found, op.product(x, rows: 0..<size[0])))
      }
    }
    #expect(worst <= Self.bounds[form, default: 0], "\(form): \(worst)")
  }

  /// Any part of the rows has the bits that it has among all rows; the weight multiplies.
  @Test(arguments: forms) func rowsAreIndependent(form: StructuredMatrix.Form) throws {
    for size in [[33, 65], [96, 160], [103, 107]] {
      guard let op = try StructuredExpansion(form, out: size[0], in: size[1], seed: 6)?.structured else { continue }
      var generator = SeededGenerator(seed: 1)
      let x = generator.floats(size[1])
      let all = Self.apply(op, x, rows: 0..<size[0])
      for rows in [0..<1, 3..<3, 5..<17, 31..<33, size[0] - 1..<size[0]] {
        #expect(sameBits(Self.apply(op, x, rows: rows), Array(all[rows])), "\(form) \(rows)")
      }
      let twice = Self.apply(op, x, rows: 0..<size[0], weight: -2)
      #expect(twice == all.map { -2 * $0 }, "\(form)")
    }
  }

  /// Zero for all but the form with an f32 transform, and a basis, of which the expansion rounds U C. Measured: 2.46e-7, 1.00e-7.
  static let materializedBounds: [StructuredMatrix.Form: Float] = [.fourier: 5.0e-7, .basis: 2.0e-7]

  @Test(arguments: forms) func materializesItsExpansion(form: StructuredMatrix.Form) throws {
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
    #expect(worst <= Self.materializedBounds[form, default: 0], "\(form): \(worst)")
  }

  /// The sizes of real models: some rows of the expansion are enough. Measured: 1.21e-7 of the largest value.
  @Test(arguments: [[896, 4864], [4864, 896], [2048, 5632], [768, 50257]]) func transformsOfModelSizes(size: [Int]) throws {
    let op = try #require(try StructuredExpansion(.fourier, out: size[0], in: size[1], seed: 3))
    var generator = SeededGenerator(seed: 2)
    let x = generator.floats(size[1])
    let rows = size[0] - 3..<size[0]
    let scale = Self.apply(op.structured, x, rows: 0..<size[0]).map(abs).max() ?? 0
    let error = maximumDifference(Self.apply(op.structured, x, rows: rows), op.product(x, rows: rows)) / scale
    #expect(error <= 2.5e-7)
  }

  /// Primes, prime factors above the radices, powers, and sizes of models. Measured: 2.34e-7, at 1187 (a convolution).
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
    #expect(relativeError(found, expected) <= 4.7e-7)
  }

  /// Factors and scratch of every form but the dense one are far smaller than the matrix: nothing is expanded. Signs take
  /// 1/32 of it, the others below 2 %.
  @Test func smallFormsStaySmall() throws {
    var generator = SeededGenerator(seed: 5)
    let (out, inputs) = (4864, 896)
    func tensor(_ shape: Int...) throws -> Tensor { try Tensor(generator.floats(shape.reduce(1, *)), shape: shape) }
    let positions = (0..<2000).map { $0 * 2000 }
    let values = generator.floats(2000)
    let matrices: [StructuredMatrix] = [
      try .rows(tensor(20, inputs), at: Array(0..<20), out: out),
      try .sparse(positions: positions, values: values, out: out, in: inputs),
      try .signs(planes: [UInt32](repeating: 7, count: out * inputs / 32), out: out, in: inputs),
      try .hadamard(a1: tensor(out, 4), b1: tensor(4, inputs), a2: tensor(out, 4), b2: tensor(4, inputs)),
      try .kronecker(.full(tensor(64, 28)), .product(tensor(76, 4), tensor(4, 32))),
      try .circulant(kernel: tensor(38, 7, 128), transform: FourierTransform(count: 128)),
      try .fourier(
        positions: positions, values: values, rows: FourierTransform(count: out), columns: FourierTransform(count: inputs)),
      try .wavelet(positions: positions, values: values, low: [0.5, 0.5], high: [0.5, -0.5], out: out, in: inputs),
      try .basis(u: tensor(out, 16), core: tensor(16, 16), v: tensor(16, inputs)),
      try .masked(
        a: tensor(32, inputs), b: tensor(out, 32), maskA: [UInt32](repeating: 7, count: inputs),
        maskB: [UInt32](repeating: 7, count: out)),
    ]
    #expect(Set(matrices.map(\.form)).union([.dense]) == Set(Self.forms))
    for matrix in matrices {
      let share = Float(matrix.byteCount + 4 * matrix.scratchCount) / Float(out * inputs * 4)
      #expect(share < 0.04, "\(matrix.form): \(share)")
    }
  }

  /// Factors that do not belong together are refused with the name of the factor.
  @Test func refusesFactorsThatDoNotFit() throws {
    func matrix(_ rows: Int, _ columns: Int) throws -> Tensor {
      try Tensor([Float](repeating: 1, count: rows * columns), shape: [rows, columns])
    }
    let integers = try #require(Tensor(dtype: .i32, shape: [2, 2], storage: Storage(byteCount: 16), offset: 0))
    let (two, three) = (try matrix(2, 2), try matrix(3, 3))
    let transform = try FourierTransform(count: 3)
    let cases: [(factor: String, make: () throws -> StructuredMatrix)] = [
      ("matrix", { try .dense(integers) }),
      ("matrix", { try .dense(Tensor([], shape: [0, 2])) }),
      ("matrix", { try .dense(Tensor([1, 2], shape: [2])) }),
      ("matrix", { try .rows(two, at: [1], out: 4) }),
      ("indices", { try .rows(two, at: [1, 1], out: 4) }),
      ("indices", { try .rows(two, at: [-1, 1], out: 4) }),
      ("indices", { try .rows(two, at: [1, 4], out: 4) }),
      ("positions", { try .sparse(positions: [4], values: [1], out: 2, in: 2) }),
      ("positions", { try .sparse(positions: [-1], values: [1], out: 2, in: 2) }),
      ("values", { try .sparse(positions: [1, 2], values: [1], out: 2, in: 2) }),
      ("size", { try .sparse(positions: [], values: [], out: 1 << 31, in: 2) }),
      ("size", { try .signs(planes: [], out: 0, in: 2) }),
      ("planes", { try .signs(planes: [1, 2, 3], out: 2, in: 33) }),
      ("b1", { try .hadamard(a1: two, b1: three, a2: two, b2: two) }),
      ("a2", { try .hadamard(a1: two, b1: two, a2: three, b2: two) }),
      ("b2", { try .hadamard(a1: two, b1: two, a2: two, b2: three) }),
      ("first", { try .kronecker(.product(two, three), .full(two)) }),
      ("second", { try .kronecker(.full(two), .product(three, two)) }),
      ("kernel", { try .circulant(kernel: Tensor([1, 2], shape: [1, 1, 2]), transform: transform) }),
      ("positions", { try .fourier(positions: [9], values: [1], rows: transform, columns: transform) }),
      ("filters", { try .wavelet(positions: [0], values: [1], low: [1], high: [1], out: 2, in: 2) }),
      ("filters", { try .wavelet(positions: [0], values: [1], low: [1, 2], high: [1, 2, 3, 4], out: 2, in: 2) }),
    ]
    for (index, refused) in cases.enumerated() {
      do {
        _ = try refused.make()
        Issue.record("case \(index) was accepted")
      } catch StructuredError.malformed(let factor, _, _) {
        #expect(factor == refused.factor, "case \(index)")
      }
    }
    #expect(throws: StructuredError.malformed(factor: "points", expected: "1 to 2^28", found: "0")) {
      try FourierTransform(count: 0)
    }
  }
}
