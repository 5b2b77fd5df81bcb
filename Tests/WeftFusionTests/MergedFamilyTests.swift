// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFusion
import WeftTensors

/// Adapters that are more than factors are merged by what they do to the base.
struct MergedFamilyTests {
  private static func weights(_ site: WeightSite, _ shape: BaseShape) -> [Float] {
    let size = shape.shape(of: site) ?? (0, 0)
    var generator = SeededGenerator(seed: 5)
    return (0..<size.out * size.in).map { _ in Float.random(in: -1...1, using: &generator) }
  }

  private let base = BaseModel(
    shape: BaseModel.tiny.shape,
    values: .init(
      weight: { MergedFamilyTests.weights($0, BaseModel.tiny.shape) }, bias: { _ in nil },
      embedding: { tokens in [Float](repeating: 0.5, count: tokens.count * 16) }))
  private let site = WeightSite.layer(0, .query)

  private func lowRank() throws -> LowRank {
    var generator = SeededGenerator(seed: 9)
    func numbers(_ count: Int) -> [Float] { (0..<count).map { _ in Float.random(in: -1...1, using: &generator) } }
    return try LowRank(a: Tensor(numbers(32), shape: [2, 16]), b: Tensor(numbers(32), shape: [16, 2]), scale: 0.5)
  }

  private func source(_ operators: [DeltaOperator]) -> MergeSource {
    var deltas = DeltaSet()
    deltas.operators[site] = operators
    return MergeSource(name: "x", weight: 2, content: .deltas(deltas))
  }

  /// g (W + s B A) - W, as DoRA is.
  @Test func aScaledProductIsTheChangeItMakes() throws {
    let low = try lowRank()
    let ratio = (0..<16).map { 0.5 + Float($0) / 16 }
    let source = source([.lowRank(low), .scale(try ScaleDelta(.product, ratio, combination: .sum))])
    let merged = try AdapterMerge(method: .named("svd"), rank: 16)([source], base: base)
    guard case .factors(let factors)? = merged.modules.first?.part else {
      Issue.record("no factors")
      return
    }
    let weight = Self.weights(site, base.shape)
    let change = product(
      MergeFactors(a: low.a.floats(), b: low.b.floats(), rank: 2, scale: 0.5), [16, 16])
    var expected: [Float] = []
    for i in 0..<256 {
      let fused: Float = ratio[i / 16] * weight[i] + change[i]
      expected.append(2 * (fused - weight[i]))
    }
    // Measured: 6e-7.
    #expect(relativeError(product(factors, [16, 16]), expected) < 1.2e-6)
  }

  @Test func withoutWeightsItIsRefused() throws {
    let source = source([.lowRank(try lowRank()), .scale(try ScaleDelta(.output, [Float](repeating: 2, count: 16)))])
    #expect {
      try AdapterMerge(method: .named("svd"), rank: 4)([source], base: .tiny)
    } throws: { "\($0)".contains("depends on the base's weights, and only its shape is known") }
    #expect {
      try AdapterMerge(method: .named("linear"))([source], base: base)
    } throws: { "\($0)".contains("no product of two factors; expected a method of space delta") }
  }

  @Test func whatIsNoChangeOfAMatrixIsNamed() throws {
    let bias = source([.bias(try BiasDelta([Float](repeating: 1, count: 16)))])
    #expect {
      try AdapterMerge(method: .named("svd"), rank: 4)([bias], base: base)
    } throws: { "\($0)".contains("x: cannot be merged: it has a bias at") }
    var deltas = DeltaSet()
    deltas.invocation = [1]
    deltas.operators[site] = [.lowRank(try lowRank())]
    #expect {
      try AdapterMerge(method: .named("cat"))([MergeSource(name: "x", weight: 1, content: .deltas(deltas))], base: base)
    } throws: { "\($0)".contains("aLoRA") }
  }

  /// Without factors anywhere, the rank must be said.
  @Test func denseChangesNeedARank() throws {
    let matrix = try Tensor([Float](repeating: 1, count: 256), shape: [16, 16])
    let source = source([.structured(try StructuredDelta(.dense(matrix), scale: 1))])
    #expect {
      try AdapterMerge(method: .named("svd"))([source], base: base)
    } throws: { "\($0)".contains("rank: expected the rank of the result") }
    let merged = try AdapterMerge(method: .named("svd"), rank: 1)([source], base: base)
    #expect(merged.rank == 1)
  }
}
