// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftTensors

/// The laws that every operator obeys, over random shapes and numbers.
@Suite struct DeltaLawsTests {
  /// (out, in, rank): single elements, tails of every size, rank above the smaller side.
  static let shapes = [(1, 1, 1), (5, 3, 1), (16, 16, 4), (33, 17, 3), (7, 64, 8), (64, 7, 9), (3, 2, 5)]

  /// A random operator of this shape with factors in F32.
  static func delta(_ shape: (out: Int, in: Int, rank: Int), _ numbers: inout SeededGenerator) throws -> DeltaOperator {
    .lowRank(
      try LowRank(
        a: Tensor(numbers.floats(shape.rank * shape.in), shape: [shape.rank, shape.in]),
        b: Tensor(numbers.floats(shape.out * shape.rank), shape: [shape.out, shape.rank]),
        scale: Float.random(in: -2...2, using: &numbers)))
  }

  /// What a mixture of additive operators makes of the weight 0.
  static func sum(_ terms: [FusedMap.Term], _ shape: (out: Int, in: Int, rank: Int)) throws -> [Float] {
    try FusedMap(
      weight: [Float](repeating: 0, count: shape.out * shape.in), bias: nil, size: (shape.out, shape.in), terms: terms
    ).weight
  }

  @Test(arguments: 0..<shapes.count) func fusedIntoNothingIsTheMatrix(index: Int) throws {
    var numbers = SeededGenerator(seed: UInt64(index))
    let delta = try Self.delta(Self.shapes[index], &numbers)
    #expect(try Self.sum([(1, [delta])], Self.shapes[index]) == delta.materialize())
  }

  @Test(arguments: 0..<shapes.count) func weightsDistribute(index: Int) throws {
    var numbers = SeededGenerator(seed: 200 + UInt64(index))
    let shape = Self.shapes[index]
    let deltas = [try Self.delta(shape, &numbers), try Self.delta(shape, &numbers)]
    let factor: Float = -0.7
    let sum = try Self.sum([(1, deltas)], shape)
    let weighted = try Self.sum([(factor, [deltas[0]]), (factor, [deltas[1]])], shape)
    // What differs is the rounding of the sum. Measured: 9.4e-8.
    #expect(relativeError(weighted, sum.map { factor * $0 }) <= 1.9e-7)
  }

  @Test(arguments: 0..<shapes.count) func sumCommutes(index: Int) throws {
    var numbers = SeededGenerator(seed: 300 + UInt64(index))
    let deltas = try (0..<3).map { _ in try Self.delta(Self.shapes[index], &numbers) }
    let terms = zip(numbers.floats(3), deltas).map { (weight: $0, operators: [$1]) }
    // Float64 sums in another order: the difference vanishes when they are rounded to Float.
    #expect(try Self.sum(terms, Self.shapes[index]) == Self.sum(terms.reversed(), Self.shapes[index]))
  }

  @Test(arguments: 0..<shapes.count) func normIsThatOfTheMatrix(index: Int) throws {
    var numbers = SeededGenerator(seed: 400 + UInt64(index))
    let delta = try Self.delta(Self.shapes[index], &numbers)
    let expected = try #require(delta.materialize()).reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    // Measured: 3.5e-8.
    #expect(abs(try #require(delta.norm()) - expected) <= 7e-8 * expected)
  }

  @Test func weightZeroChangesNothing() throws {
    var numbers = SeededGenerator(seed: 1)
    let delta = try Self.delta((8, 8, 2), &numbers)
    #expect(try Self.sum([(0, [delta])], (8, 8, 2)).allSatisfy { $0 == 0 })
  }

  @Test func aHandMadeDelta() throws {
    // 0.5 * [1; 2] [3 4 5]
    let delta = DeltaOperator.lowRank(
      try LowRank(a: Tensor([3, 4, 5], shape: [1, 3]), b: Tensor([1, 2], shape: [2, 1]), scale: 0.5))
    #expect(delta.materialize() == [1.5, 2, 2.5, 3, 4, 5])
    #expect(delta.rank == 1)
    #expect(delta.byteCount == 20)
    #expect(delta.fits((2, 3)) && !delta.fits((3, 2)))
  }

  @Test func halfFactorsAreExact() throws {
    // 1.5, -2 and 0.25 exist in F32, F16 and BF16 alike.
    let f16 = try Storage(byteCount: 6)
    for (i, bits) in [UInt16(0x3E00), 0xC000, 0x3400].enumerated() {
      f16.bytes.storeBytes(of: bits.littleEndian, toByteOffset: 2 * i, as: UInt16.self)
    }
    let bf16 = try Storage(byteCount: 6)
    for (i, bits) in [UInt16(0x3FC0), 0xC000, 0x3E80].enumerated() {
      bf16.bytes.storeBytes(of: bits.littleEndian, toByteOffset: 2 * i, as: UInt16.self)
    }
    for (dtype, storage) in [(DType.f16, f16), (.bf16, bf16)] {
      let a = try #require(Tensor(dtype: dtype, shape: [1, 3], storage: storage, offset: 0))
      let delta = DeltaOperator.lowRank(try LowRank(a: a, b: Tensor([2], shape: [1, 1]), scale: 1))
      #expect(delta.materialize() == [3, -4, 0.5])
      #expect(delta.byteCount == 10)
    }
  }
}
