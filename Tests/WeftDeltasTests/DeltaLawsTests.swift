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

  static func product(_ matrix: [Float], _ x: [Float]) -> [Float] {
    (0..<matrix.count / x.count).map { row in
      Float(x.indices.reduce(0.0) { $0 + Double(matrix[row * x.count + $1]) * Double(x[$1]) })
    }
  }

  @Test(arguments: 0..<shapes.count) func applyIsMaterializeTimesX(index: Int) throws {
    var numbers = SeededGenerator(seed: UInt64(index))
    let delta = try Self.delta(Self.shapes[index], &numbers)
    let x = numbers.floats(delta.shape.in)
    var y = [Float](repeating: 0, count: delta.shape.out)
    delta.apply(x, addingTo: &y)
    // Both sum in Float64; what differs is the rounding of the materialised elements. Measured: 1.5e-7.
    #expect(relativeError(y, Self.product(delta.materialize(), x)) <= 3e-7)
  }

  @Test(arguments: 0..<shapes.count) func applyAddsToWhatIsThere(index: Int) throws {
    var numbers = SeededGenerator(seed: 100 + UInt64(index))
    let delta = try Self.delta(Self.shapes[index], &numbers)
    let x = numbers.floats(delta.shape.in)
    let before = numbers.floats(delta.shape.out)
    var alone = [Float](repeating: 0, count: delta.shape.out)
    delta.apply(x, addingTo: &alone)
    var y = before
    delta.apply(x, addingTo: &y)
    // One rounding of `alone` and one of the sum. Measured: 9.4e-8.
    #expect(relativeError(y, zip(before, alone).map { $0 + $1 }) <= 1.9e-7)
  }

  @Test(arguments: 0..<shapes.count) func scaleDistributes(index: Int) throws {
    var numbers = SeededGenerator(seed: 200 + UInt64(index))
    let delta = try Self.delta(Self.shapes[index], &numbers)
    let other = try Self.delta(Self.shapes[index], &numbers)
    let factor: Float = -0.7
    let sum = DeltaOperator.materialize(sumOf: [(1, delta), (1, other)])
    let scaledSum = DeltaOperator.materialize(sumOf: [(1, try delta.scaled(by: factor)), (1, try other.scaled(by: factor))])
    let weightedSum = DeltaOperator.materialize(sumOf: [(factor, delta), (factor, other)])
    // The scale of each term is rounded once when it is scaled. Measured: 1.2e-7 and 9.4e-8.
    #expect(relativeError(scaledSum, sum.map { factor * $0 }) <= 2.4e-7)
    #expect(relativeError(weightedSum, sum.map { factor * $0 }) <= 1.9e-7)

    let x = numbers.floats(delta.shape.in)
    var weighted = [Float](repeating: 0, count: delta.shape.out)
    var scaled = weighted
    delta.apply(x, weight: factor, addingTo: &weighted)
    try delta.scaled(by: factor).apply(x, addingTo: &scaled)
    // Measured: 9.1e-8.
    #expect(relativeError(weighted, scaled) <= 1.9e-7)
  }

  @Test(arguments: 0..<shapes.count) func sumCommutes(index: Int) throws {
    var numbers = SeededGenerator(seed: 300 + UInt64(index))
    let deltas = try (0..<3).map { _ in try Self.delta(Self.shapes[index], &numbers) }
    let terms = zip(numbers.floats(3), deltas).map { (weight: $0, delta: $1) }
    let forward = DeltaOperator.materialize(sumOf: terms)
    let backward = DeltaOperator.materialize(sumOf: terms.reversed())
    // Float64 sums in another order: the difference vanishes when they are rounded to Float.
    #expect(forward == backward)

    let x = numbers.floats(deltas[0].shape.in)
    var one = [Float](repeating: 0, count: deltas[0].shape.out)
    var other = one
    for term in terms { term.delta.apply(x, weight: term.weight, addingTo: &one) }
    for term in terms.reversed() { term.delta.apply(x, weight: term.weight, addingTo: &other) }
    // Each of the three additions to y is rounded. Measured: 9.7e-8.
    #expect(relativeError(one, other) <= 2e-7)
  }

  @Test(arguments: 0..<shapes.count) func normIsThatOfTheMatrix(index: Int) throws {
    var numbers = SeededGenerator(seed: 400 + UInt64(index))
    let delta = try Self.delta(Self.shapes[index], &numbers)
    let expected = delta.materialize().reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    // Measured: 3.5e-8.
    #expect(abs(delta.norm() - expected) <= 7e-8 * expected)
  }

  @Test func weightZeroChangesNothing() throws {
    var numbers = SeededGenerator(seed: 1)
    let delta = try Self.delta((8, 8, 2), &numbers)
    let before = numbers.floats(8)
    var y = before
    delta.apply(numbers.floats(8), weight: 0, addingTo: &y)
    #expect(y == before)
    #expect(DeltaOperator.materialize(sumOf: [(0, delta)]).allSatisfy { $0 == 0 })
  }

  @Test func aHandMadeDelta() throws {
    // 0.5 * [1; 2] [3 4 5]
    let delta = DeltaOperator.lowRank(
      try LowRank(a: Tensor([3, 4, 5], shape: [1, 3]), b: Tensor([1, 2], shape: [2, 1]), scale: 0.5))
    #expect(delta.materialize() == [1.5, 2, 2.5, 3, 4, 5])
    var y: [Float] = [10, 20]
    delta.apply([1, 0, -1], addingTo: &y)
    #expect(y == [9, 18])
    #expect(delta.rank == 1)
    #expect(delta.byteCount == 20)
    #expect(delta.shape == (2, 3))
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
