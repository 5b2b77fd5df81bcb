// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// Adapters whose factors stay quantised or ternary in memory.
struct CompressedAdapterTests {
  static let tokens = randomTokens(20, vocabulary: 96, seed: 5)
  static let types: [DType] = [.q8_0, .q4_0, .ternary]

  static func factors(
    _ size: BaseShape.Size, _ a: DType, _ b: DType, rank: Int, _ numbers: inout SeededGenerator
  ) throws -> LowRank {
    try LowRank(
      a: .randomFactor(a, rows: rank, columns: size.in, using: &numbers),
      b: .randomFactor(b, rows: size.out, columns: rank, using: &numbers), scale: 0.5)
  }

  /// Low rank at every map but the head. The types of A and B are `types` in turn.
  static func deltas(_ runner: ModelRunner, _ types: [DType], rank: Int, seed: UInt64) throws -> DeltaSet {
    var numbers = SeededGenerator(seed: seed)
    var deltas = DeltaSet()
    for (index, site) in runner.weights.shape.sites.enumerated() where site != .outputHead {
      guard let size = runner.weights.shape.shape(of: site) else { continue }
      let (a, b) = (types[index % types.count], types[(index + 1) % types.count])
      deltas.operators[site] = [.lowRank(try factors(size, a, b, rank: rank, &numbers))]
    }
    return deltas
  }

  /// The same numbers in F32.
  static func expanded(_ deltas: DeltaSet) throws -> DeltaSet {
    var result = deltas
    for (site, list) in deltas.operators {
      result.operators[site] = try list.map { delta in
        guard case .lowRank(let factors) = delta else { return delta }
        return .lowRank(
          try LowRank(
            a: Tensor(factors.valuesOfA(), shape: [factors.rank, factors.inputSize]),
            b: Tensor(factors.valuesOfB(), shape: [factors.outputSize, factors.rank]), scale: factors.scale))
      }
    }
    return result
  }

  static func active(_ deltas: DeltaSet, _ runner: ModelRunner, weight: Float = 1) throws -> ActiveMixture {
    ActiveMixture([(try OperatorTests.resident(deltas, runner), .test(weight))])
  }

  /// The head of a base against the same arithmetic in f64: activations, and u, in int8 blocks; the factors' numbers.
  @Test(arguments: types, availableTiers) func sameArithmeticOnExpandedFactors(dtype: DType, isa: ISA) throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"), isa: isa)
    let (hidden, vocabulary) = (runner.weights.config.hiddenSize, 96)
    let size = try #require(runner.weights.shape.shape(of: .outputHead))
    let kernels = Kernels(isa: .scalar)
    let norm = try SafetensorsFile(path: ModelRunner.golden("gqa-tied") + "/model.safetensors").tensors["model.norm.weight"]
    let weight = referenceFloats(try #require(norm))
    for rank in [3, 4, 16, 36] {
      var numbers = SeededGenerator(seed: UInt64(rank))
      let factors = try Self.factors(size, dtype, dtype, rank: rank, &numbers)
      var expected = runner.logits(Self.tokens)
      let found = runner.logits(Self.tokens, mixture: try Self.active(DeltaSet([.outputHead: .lowRank(factors)]), runner))
      let states = runner.hidden(Self.tokens, layers: 3)
      let (a, b) = (factors.valuesOfA(), factors.valuesOfB())
      for row in Self.tokens.indices {
        var x = [Float](repeating: 0, count: hidden)
        let state = Array(states[row * hidden..<(row + 1) * hidden])
        kernels.rmsNorm(&x, state, weight: weight, count: hidden, epsilon: runner.weights.config.normEpsilon)
        let rounded = Self.rounded(x, kernels)
        let u = (0..<rank).map { r in
          Float((0..<hidden).reduce(0.0) { $0 + Double(a[r * hidden + $1]) * Double(rounded[$1]) } * Double(factors.scale))
        }
        let roundedU = Self.rounded(u, kernels)
        for out in 0..<vocabulary {
          expected[row * vocabulary + out] += Float(
            (0..<rank).reduce(0.0) { $0 + Double(b[out * rank + $1]) * Double(roundedU[$1]) })
        }
      }
      // Measured: at most 8.81e-8.
      #expect(relativeError(found, expected) <= 1.8e-7, "rank \(rank)")
    }
  }

  /// Numbers in int8 blocks, as floats again.
  private static func rounded(_ x: [Float], _ kernels: Kernels) -> [Float] {
    let count = (x.count + 31) / 32 * 32
    let padded = x + [Float](repeating: 0, count: count - x.count)
    var bytes = [UInt32](repeating: 0, count: MatrixView.rowBytes(.blocks, columns: count) / 4)
    return bytes.withUnsafeMutableBytes { bytes in
      kernels.quantize(bytes.baseAddress!, padded, begin: 0, end: count)
      return x.indices.map { index in
        let block = index / 32 * 52
        return bytes.loadUnaligned(fromByteOffset: block + 32, as: Float.self)
          * Float(bytes.loadUnaligned(fromByteOffset: block + index % 32, as: Int8.self))
      }
    }
  }

  /// Against F32 factors of the same numbers: what rounding activations costs, as measured; bounds are twice as much. In `odd-heads` no map reads whole blocks, so that ternary
  /// A are F16 there, and only u is rounded.
  static let cases: [(base: String, types: [DType], rank: Int, error: Float)] = [
    ("gqa-tied", [.q8_0], 16, 0.0127), ("gqa-tied", [.q4_0], 5, 0.0063), ("gqa-tied", [.ternary], 8, 0.0078),
    ("gqa-tied", [.ternary, .q8_0, .f16, .q4_0, .f32], 16, 0.0202), ("gqa-tied-f16/model.gguf", [.ternary, .bf16], 6, 0.0047),
    ("wide-q8_0/model.gguf", [.ternary, .q4_0], 12, 0.0382), ("odd-heads", [.ternary], 4, 0.0034),
  ]

  @Test(arguments: 0..<cases.count) func besideExpandedFactors(index: Int) throws {
    let (base, types, rank, error) = Self.cases[index]
    for isa in availableTiers {
      let runner = try ModelRunner(ModelRunner.golden(base), isa: isa)
      let deltas = try Self.deltas(runner, types, rank: rank, seed: UInt64(index))
      let tokens = randomTokens(20, vocabulary: runner.weights.config.vocabularySize, seed: 9)
      let found = runner.logits(tokens, mixture: try Self.active(deltas, runner))
      let expected = runner.logits(tokens, mixture: try Self.active(Self.expanded(deltas), runner))
      #expect(relativeError(found, expected) <= 2 * error, "\(isa.name)")
      #expect(relativeError(found, runner.logits(tokens)) > 0.05, "it has an effect")
    }
  }

  /// Pieces, batch mates, threads and tiers of the products change no bit.
  @Test(arguments: ["gqa-tied", "wide-q4_0/model.gguf", "odd-heads"]) func batchesAndThreads(base: String) throws {
    func rows(_ runner: ModelRunner) throws -> [ModelRunner.Row] {
      let hasBlocks = runner.weights.config.hiddenSize % 32 == 0
      let one = try OperatorTests.resident(Self.deltas(runner, [.ternary], rank: 8, seed: 1), runner)
      let two = try OperatorTests.resident(
        Self.deltas(runner, hasBlocks ? [.q8_0, .ternary, .q4_0] : [.f32, .ternary], rank: 20, seed: 2), runner)
      let plain = try OperatorTests.resident(Self.deltas(runner, [.f32], rank: 3, seed: 3), runner)
      let mixtures: [ActiveMixture?] = [
        ActiveMixture([(one, .test(0.5)), (two, .test(-0.75))]), nil, ActiveMixture([(two, .test(1)), (plain, .test(1))]),
        ActiveMixture([(plain, .test(1))]), ActiveMixture([(one, .test(1))]),
      ]
      return mixtures.enumerated().map { index, mixture in
        ModelRunner.Row(tokens: randomTokens(17 + index, vocabulary: 96, seed: UInt64(index)), mixture: mixture)
      }
    }
    let alone = try ModelRunner(ModelRunner.golden(base), threads: 1)
    let own = try rows(alone)
    let expected = own.map { alone.logits($0.tokens, mixture: $0.mixture) }
    for (row, logits) in zip(own, expected) {
      #expect(sameBits(alone.logits(row.tokens, mixture: row.mixture, chunk: 5), logits))
    }
    for threads in [1, 3] {
      let runner = try ModelRunner(ModelRunner.golden(base), threads: threads)
      let rows = try rows(runner)
      for chunk in [nil, 7] {
        for (logits, own) in zip(runner.logits(rows, chunk: chunk), expected) { #expect(sameBits(logits, own)) }
      }
    }
  }

  /// What is made again from packed factors is what was packed: values, and what is fused from them, bit for bit.
  @Test(
    arguments: [[DType.q8_0], [.q4_0], [.ternary], [.ternary, .q8_0, .f16, .bf16, .f32, .q4_0]], ["gqa-tied", "odd-heads"])
  func factorsComeBack(types: [DType], base: String) throws {
    let runner = try ModelRunner(ModelRunner.golden(base))
    guard base == "gqa-tied" || types == [.ternary] else { return }
    let original = runner.logits(Self.tokens)
    let deltas = try Self.deltas(runner, types, rank: 6, seed: 4)
    let resident = try OperatorTests.resident(deltas, runner)
    #expect(deltas.withoutLowRank.isEmpty)
    let restored = try resident.deltas(adding: deltas.withoutLowRank)
    #expect(restored.sites == deltas.sites && resident.sites(adding: DeltaSet()) == deltas.sites)
    for (site, list) in deltas.operators {
      guard case .lowRank(let own) = list.first, case .lowRank(let other) = restored.operators[site]?.first else {
        Issue.record("\(site) did not come back")
        continue
      }
      #expect(own.valuesOfA() == other.valuesOfA() && own.valuesOfB() == other.valuesOfB() && own.scale == other.scale)
    }
    try runner.weights.fuse([(deltas, .test(0.7))])
    let fused = runner.logits(Self.tokens)
    runner.weights.unfuse([deltas])
    #expect(sameBits(runner.logits(Self.tokens), original))
    try runner.weights.fuse([(restored, .test(0.7))])
    #expect(sameBits(runner.logits(Self.tokens), fused))
    runner.weights.unfuse([restored])
    #expect(sameBits(runner.logits(Self.tokens), original))
  }

  /// The parts of a fused module share A; with B of other scales they do not.
  @Test func sharedInputs() throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"))
    var numbers = SeededGenerator(seed: 6)
    let a = try Tensor.randomFactor(.ternary, rows: 8, columns: 32, using: &numbers)
    for bScale in [Float(0.2), 0.6] {
      var deltas = DeltaSet()
      for (site, out) in [(WeightSite.layer(0, .query), 32), (.layer(0, .key), 16), (.layer(0, .value), 16)] {
        let b = try Tensor.randomFactor(.ternary, rows: out, columns: 8, using: &numbers)
        let scaled = try #require(
          Tensor(dtype: .ternary, shape: b.shape, storage: b.storage, offset: 0, scale: out == 16 ? bScale : 0.2))
        deltas.operators[site] = [.lowRank(try LowRank(a: a, b: scaled, scale: 2))]
      }
      let resident = try OperatorTests.resident(deltas, runner)
      #expect(resident.width == 16, "one tile in both cases")
      let found = runner.logits(Self.tokens, mixture: ActiveMixture([(resident, .test(1))]))
      let expected = runner.logits(Self.tokens, mixture: try Self.active(Self.expanded(deltas), runner))
      // Measured: at most 0.0259.
      #expect(relativeError(found, expected) <= 0.052)
    }
  }

  /// Of the shape of a model with 0.5 billion weights: rank 16 on all seven projections, and rank 8 on q and v.
  @Test func memoryOfTernary() throws {
    let (hidden, width, keys) = (896, 4864, 128)
    let sizes: [[(Projection, out: Int, in: Int)]] = [
      [(.query, hidden, hidden), (.key, keys, hidden), (.value, keys, hidden)], [(.output, hidden, hidden)],
      [(.gate, width, hidden), (.up, width, hidden)], [(.down, hidden, width)],
    ]
    let sites = (0..<24).flatMap { layer in sizes.map { $0.map { WeightSite.layer(layer, $0.0) } } } + [[.outputHead]]
    func bytes(rank: Int, _ wanted: Set<Projection>) throws -> Int {
      var numbers = SeededGenerator(seed: 7)
      var deltas = DeltaSet()
      for layer in 0..<24 {
        for (projection, out, width) in sizes.joined() where wanted.contains(projection) {
          deltas.operators[.layer(layer, projection)] = [
            .lowRank(try Self.factors(BaseShape.Size(out: out, in: width), .ternary, .ternary, rank: rank, &numbers))
          ]
        }
      }
      return try ResidentAdapter(deltas, groups: sites, pool: ThreadPool(threads: 1)).byteCount
    }
    #expect(try bytes(rank: 16, [.query, .key, .value, .output, .gate, .up, .down]) <= 2_600_000)
    let (codes, held) = (24 * (16 * hidden + (hidden + keys) * 8) / 4, try bytes(rank: 8, [.query, .value]))
    #expect(held >= codes && held <= codes + 16_000, "beside the codes there are only tables")
  }
}
