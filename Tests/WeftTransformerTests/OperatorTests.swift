// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// Every operator of linear maps beside the base against the same operators fused into it, which is their definition
/// (`FusedMap`); alone, in mixtures, and in batches.
struct OperatorTests {
  /// What a case puts at a site.
  typealias Make = @Sendable (BaseShape.Size, inout SeededGenerator) throws -> [DeltaOperator]

  static func vector(_ count: Int, _ numbers: inout SeededGenerator) -> [Float] { numbers.floats(count, in: 0.5...1.5) }

  static func dense(_ size: BaseShape.Size, _ numbers: inout SeededGenerator) throws -> DeltaOperator {
    .structured(
      try StructuredDelta(
        .dense(Tensor(numbers.floats(size.out * size.in, in: -0.1...0.1), shape: [size.out, size.in])), scale: 0.7))
  }

  static func blocks(_ size: Int, _ numbers: inout SeededGenerator, order: [Int32]? = nil) throws -> DeltaOperator {
    .rotate(
      try RotationDelta(
        .blocks(try Tensor(numbers.floats(size * 4, in: -0.6...0.6), shape: [size / 4, 4, 4]), order: order)))
  }

  static func planes(_ size: Int, _ numbers: inout SeededGenerator) throws -> DeltaOperator {
    .rotate(try RotationDelta(.planes(cosines: vector(size, &numbers), sines: numbers.floats(size), group: 4)))
  }

  static func low(_ size: BaseShape.Size, _ numbers: inout SeededGenerator) throws -> DeltaOperator {
    .lowRank(
      try LowRank(
        a: Tensor(numbers.floats(3 * size.in, in: -0.3...0.3), shape: [3, size.in]),
        b: Tensor(numbers.floats(size.out * 3, in: -0.3...0.3), shape: [size.out, 3]), scale: 0.5))
  }

  /// Name, operators, and the error that was measured; bounds are twice as much.
  static let cases: [(name: String, make: Make, error: Float)] = [
    ("two low ranks", { try [low($0, &$1), low($0, &$1)] }, 9.1e-7),
    ("dense", { try [dense($0, &$1)] }, 1.54e-6),
    ("input scale", { [.scale(try ScaleDelta(.input, vector($0.in, &$1)))] }, 7.4e-7),
    ("input scale beside low rank", { try [.scale(ScaleDelta(.input, vector($0.in, &$1))), low($0, &$1)] }, 1.84e-6),
    (
      "two input scales",
      { try [.scale(ScaleDelta(.input, vector($0.in, &$1))), .scale(ScaleDelta(.input, vector($0.in, &$1)))] },
      1.25e-6
    ),
    ("product scale", { [.scale(try ScaleDelta(.product, vector($0.out, &$1), combination: .sum))] }, 1.45e-6),
    (
      "output scale and shift",
      { [.scale(try ScaleDelta(.output, vector($0.out, &$1), shift: $1.floats($0.out)))] }, 1.21e-6
    ),
    ("blocks", { try [blocks($0.in, &$1)] }, 6.3e-7),
    ("blocks in another order", { try [blocks($0.in, &$1, order: (0..<Int32($0.in)).reversed())] }, 5.3e-7),
    (
      "reflections",
      { size, numbers in
        let unit = [Float](repeating: 1 / Float(size.in).squareRoot(), count: size.in)
        let other = (0..<size.in).map { Float($0 == 1 ? 1 : 0) }
        return [.rotate(try RotationDelta(.reflections(try Tensor(unit + other, shape: [2, size.in]))))]
      }, 1.12e-6
    ),
    ("planes", { try [planes($0.out, &$1)] }, 1.26e-6),
    ("bias", { [.bias(try BiasDelta($1.floats($0.out)))] }, 8.1e-7),
    ("replaced bias", { [.bias(try BiasDelta($1.floats($0.out), isReplacement: true))] }, 0),
    (
      "replaced weight",
      { size, numbers in
        let values = numbers.floats(size.out * size.in, in: -0.2...0.2)
        return [.replace(try WeightReplacement(Tensor(values, shape: [size.out, size.in])))]
      }, 0
    ),
    (
      "everything, in any order",
      { size, numbers in
        try [
          planes(size.out, &numbers), .bias(BiasDelta(numbers.floats(size.out))), dense(size, &numbers),
          .scale(ScaleDelta(.output, vector(size.out, &numbers))), low(size, &numbers),
          .scale(ScaleDelta(.product, vector(size.out, &numbers))), blocks(size.in, &numbers),
          .scale(ScaleDelta(.input, vector(size.in, &numbers))),
        ]
      }, 7.1e-7
    ),
  ]

  /// The operators of a case at every linear map of the base that has a bias, or at the head of one that has none.
  static func deltas(_ make: Make, _ runner: ModelRunner, seed: UInt64, everywhere: Bool = true) throws -> DeltaSet {
    var numbers = SeededGenerator(seed: seed)
    var deltas = DeltaSet()
    for site in runner.weights.shape.sites where site != .outputHead {
      guard let size = runner.weights.shape.shape(of: site), everywhere || site.layer == 0 else { continue }
      deltas.operators[site] = try make(size, &numbers)
    }
    return deltas
  }

  static func resident(_ deltas: DeltaSet, _ runner: ModelRunner) throws -> ResidentAdapter {
    let resident = try ResidentAdapter(deltas, groups: runner.weights.inputGroups, pool: runner.pool)
    try runner.transformer.reserve(for: resident)
    return resident
  }

  static let tokens = randomTokens(20, vocabulary: 96, seed: 5)

  @Test(arguments: 0..<cases.count) func besideIsFused(index: Int) throws {
    let (name, make, error) = Self.cases[index]
    for base in ["biases", "biases/model.gguf"] {
      let runner = try ModelRunner(ModelRunner.golden(base), threads: 2)
      let deltas = try Self.deltas(make, runner, seed: UInt64(index))
      let mixture = ActiveMixture([(try Self.resident(deltas, runner), 1)])
      let alone = runner.logits(Self.tokens)
      let beside = runner.logits(Self.tokens, mixture: mixture)
      #expect(relativeError(beside, alone) > 1e-3, "\(name) has an effect")
      #expect(sameBits(runner.logits(Self.tokens, mixture: mixture, chunk: 7), beside), "\(name) in pieces")
      let bias = runner.weights.base.values?.bias(.layer(0, .query))
      try runner.weights.fuse([(deltas, .test(1))])
      #expect(runner.weights.base.values?.bias(.layer(0, .query)) == bias, "adapters are read for the file, whatever is fused")
      #expect(relativeError(runner.logits(Self.tokens), beside) <= 2 * error, "\(name)")
      runner.weights.unfuse([deltas])
      #expect(sameBits(runner.logits(Self.tokens), alone), "\(name) unfused")
    }
  }

  /// Two adapters with weights, layers and both rules for scales.
  @Test(arguments: ["a:0.5,b:-0.75", "a@0:1.5,b:0.25", "a:0.5,b:0.5/average", "a[q_proj=0.25,down_proj=-1],b@1:2"])
  func mixtures(text: String) throws {
    let mixture = try Mixture(parsing: text)
    let runner = try ModelRunner(ModelRunner.golden("biases"), threads: 2)
    let additive: Make = { size, numbers in
      try [
        Self.low(size, &numbers), Self.dense(size, &numbers),
        .scale(ScaleDelta(.output, Self.vector(size.out, &numbers))),
        .scale(ScaleDelta(.product, Self.vector(size.out, &numbers), combination: .sum)),
        .scale(ScaleDelta(.input, Self.vector(size.in, &numbers))), .bias(BiasDelta(numbers.floats(size.out))),
      ]
    }
    let sets = [try Self.deltas(additive, runner, seed: 1), try Self.deltas(additive, runner, seed: 2)]
    let members = try zip(sets, mixture.parts).map { (adapter: try Self.resident($0, runner), part: $1) }
    let beside = runner.logits(Self.tokens, mixture: ActiveMixture(members, scales: mixture.scales))
    try runner.weights.fuse(zip(sets, mixture.parts).map { (set: $0, part: $1) }, scales: mixture.scales)
    // Measured: 1.81e-6.
    #expect(relativeError(runner.logits(Self.tokens), beside) <= 3.7e-6)
  }

  /// Adapters of different operators at one place: each has memory for its own vectors only.
  @Test func adaptersOfDifferentOperators() throws {
    let runner = try ModelRunner(ModelRunner.golden("biases"))
    let makes: [Make] = [
      { [.bias(try BiasDelta($1.floats($0.out)))] },
      { [.scale(try ScaleDelta(.product, Self.vector($0.out, &$1), combination: .sum))] },
      { size, numbers in
        let values = numbers.floats(size.out * size.in, in: -0.2...0.2)
        return [.replace(try WeightReplacement(Tensor(values, shape: [size.out, size.in])))]
      },
      { try [Self.blocks($0.in, &$1)] },
    ]
    let sets = try makes.enumerated().map { try Self.deltas($1, runner, seed: UInt64($0)) }
    let members = try sets.map { (adapter: try Self.resident($0, runner), weight: Float(1)) }
    let beside = runner.logits(Self.tokens, mixture: ActiveMixture(members))
    try runner.weights.fuse(sets.map { ($0, .test(1)) })
    // Measured: 2.8e-7.
    #expect(relativeError(runner.logits(Self.tokens), beside) <= 5.6e-7)
  }

  /// Rows under different mixtures, and more threads, change no bit.
  @Test func batchesAndThreads() throws {
    let alone = try ModelRunner(ModelRunner.golden("biases"), threads: 1)
    let make = Self.cases[Self.cases.count - 1].make
    func rows(_ runner: ModelRunner) throws -> [ModelRunner.Row] {
      let all = ActiveMixture([(try Self.resident(Self.deltas(make, runner, seed: 1), runner), 1)])
      let first = ActiveMixture([(try Self.resident(Self.deltas(make, runner, seed: 2, everywhere: false), runner), 1)])
      return [all, nil, first].enumerated().map { (index, mixture) in
        ModelRunner.Row(tokens: randomTokens(9 + index, vocabulary: 96, seed: UInt64(index)), mixture: mixture)
      }
    }
    let expected = try rows(alone).map { alone.logits($0.tokens, mixture: $0.mixture) }
    for threads in [1, 3] {
      let runner = try ModelRunner(ModelRunner.golden("biases"), threads: threads)
      for (logits, own) in zip(runner.logits(try rows(runner)), expected) { #expect(sameBits(logits, own)) }
    }
  }

  @Test func expertsKnowOnlyLowRank() throws {
    let pool = try ThreadPool(threads: 1)
    var numbers = SeededGenerator(seed: 1)
    let site = WeightSite.expert(0, 1, .down)
    let deltas = DeltaSet([site: try Self.dense((4, 4), &numbers)])
    #expect(throws: ResidentError.unsupportedPlace(site, operator: "dense")) {
      try ResidentAdapter(deltas, groups: [[site]], pool: pool)
    }
  }
}
