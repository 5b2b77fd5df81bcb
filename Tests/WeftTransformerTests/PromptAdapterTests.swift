// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// What stands before a sequence or inside its attention: virtual rows, keys and values, gated prompts. `FamilyGoldenTests` has
/// them against peft.
struct PromptAdapterTests {
  /// One of every kind on one base.
  static let kinds = ["prompt-tuning", "prefix-tuning", "cartridge", "adaption-prompt"]
  static let llama = FamilyCase.path(base: "llama")

  static func family(_ name: String) throws -> FamilyCase {
    try #require(FamilyCase.all.first { $0.name == name })
  }

  /// Sequences of different lengths, each with another adapter, and one with none.
  static func rows(_ runner: ModelRunner) throws -> [ModelRunner.Row] {
    var rows = [ModelRunner.Row(tokens: randomTokens(11, vocabulary: 96, seed: 9))]
    for (index, kind) in kinds.enumerated() {
      rows.append(
        ModelRunner.Row(
          tokens: randomTokens([40, 3, 17, 25][index], vocabulary: 96, seed: UInt64(index)),
          mixture: try runner.mixture(family(kind))))
    }
    return rows
  }

  /// Rows that stand for the embeddings of tokens are those tokens: at their own positions too, and to the bit.
  @Test(arguments: ["llama", "gpt2"]) func rowsOfTokensAreTheTokens(base: String) throws {
    let runner = try ModelRunner(FamilyCase.path(base: base))
    let values = try #require(runner.weights.base.values)
    let (first, rest) = (randomTokens(5, vocabulary: 96, seed: 1), randomTokens(20, vocabulary: 96, seed: 2))
    var deltas = DeltaSet()
    let rows = first.flatMap { values.embedding(Int($0)..<Int($0) + 1) }
    deltas.prompt = .embeddings(try Tensor(rows, shape: [5, rows.count / 5]))
    let adapter = try ResidentAdapter(deltas, groups: runner.weights.inputGroups, pool: runner.pool)
    let mixture = ActiveMixture([(adapter, 1)])
    #expect(mixture.prompt == .rows(count: 5) && mixture.promptCount == 5)
    let found = runner.logits([ModelRunner.Row(tokens: rest, mixture: mixture)], ofPrompts: true)[0]
    #expect(sameBits(found, runner.logits(first + rest)))
  }

  /// Prompts on models of other architectures (tools/make_prompt_goldens.py), and the error that was measured.
  static let goldens: [(kind: String, model: String, error: Float)] = [
    ("prompt", "gemma3-scalar", 8.4e-7), ("prompt", "gpt2-tied", 6.5e-7), ("prompt", "granite-tied", 1.9e-7),
    ("prompt", "mistral-window", 6e-7), ("prompt", "smollm3-nope", 2.5e-6), ("prefix", "gemma2-caps", 9.1e-7),
    ("prefix", "mistral-nemo", 1.4e-6), ("prefix", "olmo2-gqa", 6.4e-7), ("prefix", "phi3-window", 7.8e-7),
    ("prefix", "qwen3-tied", 9.1e-7),
    ("adaption", "mistral-window", 5.4e-7),
  ]

  /// Those of virtual positions too.
  @Test(arguments: goldens) func logitsAreThoseOfPeft(kind: String, model: String, error: Float) throws {
    let golden = try Golden("prompts/\(kind)-\(model)/expected.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    var largest: Float = 0
    for isa in availableTiers {
      let runner = try ModelRunner(ArchitectureTests.folder + "/" + model, isa: isa)
      let adapter = try AdapterReader.read(
        folder: TestPaths.goldens + "/prompts/\(kind)-\(model)", name: kind, base: runner.weights.base)
      let resident = try ResidentAdapter(adapter.deltas, groups: runner.weights.inputGroups, pool: runner.pool)
      let row = ModelRunner.Row(tokens: tokens, mixture: ActiveMixture([(resident, 1)]))
      let found = runner.logits([row], ofPrompts: true)[0]
      largest = max(largest, relativeError(found, try golden.floats("logits")))
    }
    #expect(largest <= 2 * error)
  }

  @Test(arguments: kinds, [KVDType.f32, .f16, .q8_0]) func prefillInPieces(kind: String, kv: KVDType) throws {
    let tokens = randomTokens(40, vocabulary: 96, seed: 3)
    for isa in availableTiers {
      let runner = try ModelRunner(Self.llama, isa: isa, kv: kv)
      let mixture = try runner.mixture(Self.family(kind))
      let whole = runner.logits(tokens, mixture: mixture)
      for chunk in [1, 3, 16] {
        #expect(sameBits(runner.logits(tokens, mixture: mixture, chunk: chunk), whole), "\(isa.name), \(chunk) a step")
      }
    }
  }

  @Test(arguments: [KVDType.f32, .f16, .q8_0]) func manyTogether(kv: KVDType) throws {
    for isa in availableTiers {
      let runner = try ModelRunner(Self.llama, isa: isa, kv: kv)
      let rows = try Self.rows(runner)
      let alone = rows.map { runner.logits($0.tokens, mixture: $0.mixture) }
      for chunk in [nil, 4] {
        let together = runner.logits(rows, chunk: chunk)
        for index in alone.indices { #expect(sameBits(together[index], alone[index]), "\(isa.name), sequence \(index)") }
      }
    }
  }

  @Test func anyNumberOfThreads() throws {
    let results = try (1...3).map { threads in
      let runner = try ModelRunner(Self.llama, threads: threads)
      return runner.logits(try Self.rows(runner))
    }
    for threads in [2, 3] {
      for (one, many) in zip(results[0], results[threads - 1]) { #expect(sameBits(many, one), "\(threads) threads") }
    }
  }

  /// A gated prompt with weight 0 is not there, and with half the weight half as much is added inside attention.
  @Test(arguments: ["adaption-prompt", "adaption-prompt-gpt2"]) func weightsOfGatedPrompts(name: String) throws {
    let family = try Self.family(name)
    let runner = try ModelRunner(family.basePath)
    let tokens = randomTokens(12, vocabulary: 96, seed: 4)
    let deltas = try runner.adapter(family).deltas
    let adapter = try ResidentAdapter(deltas, groups: runner.weights.inputGroups, pool: runner.pool)
    var halved = DeltaSet()
    for (layer, prompt) in deltas.gatedPrompts {
      halved.gatedPrompts[layer] = try GatedPrompt(
        keys: prompt.keys, values: prompt.values, gate: prompt.gate / 2, headDimension: prompt.headDimension,
        isProjected: prompt.isProjected)
    }
    let half = try ResidentAdapter(halved, groups: runner.weights.inputGroups, pool: runner.pool)
    let plain = runner.logits(tokens)
    #expect(sameBits(runner.logits(tokens, mixture: ActiveMixture([(adapter, 0)])), plain))
    let found = runner.logits(tokens, mixture: ActiveMixture([(adapter, 0.5)]))
    #expect(sameBits(found, runner.logits(tokens, mixture: ActiveMixture([(half, 1)]))))
    #expect(!sameBits(found, plain))
  }

  /// A prompt longer than a block of the cache, and than a chunk of keys.
  @Test(arguments: [1, 15, 16, 17, 70]) func gatedPromptsOfAnyLength(count: Int) throws {
    let runner = try ModelRunner(Self.llama)
    let (d, heads) = (runner.weights.config.headDimension, runner.weights.config.keyValueHeadCount)
    var generator = SeededGenerator(seed: UInt64(count))
    func random() -> [Float] { (0..<count * d * heads).map { _ in Float.random(in: -1...1, using: &generator) } }
    let (keys, values) = (random(), random())
    func logits(_ order: [Int]) throws -> [Float] {
      func ordered(_ values: [Float]) throws -> Tensor {
        let width = d * heads
        return try Tensor(order.flatMap { values[$0 * width..<($0 + 1) * width] }, shape: [count, width])
      }
      var deltas = DeltaSet()
      deltas.gatedPrompts[1] = try GatedPrompt(
        keys: ordered(keys), values: ordered(values), gate: 1, headDimension: d)
      let adapter = try ResidentAdapter(deltas, groups: runner.weights.inputGroups, pool: runner.pool)
      return runner.logits([3, 1, 4, 1, 5], mixture: ActiveMixture([(adapter, 1)]))
    }
    // Every position counts, wherever it lies. Measured: 2.2e-7.
    let straight = try logits(Array(0..<count))
    #expect(relativeError(try logits((0..<count).reversed()), straight) <= 4.4e-7)
    #expect(relativeError(straight, runner.logits([3, 1, 4, 1, 5])) > 1e-3)
  }

  /// What stands in a cache of fewer bits is rounded as keys and values of tokens are. Measured: 1.1e-3 and 3.6e-2.
  @Test(arguments: [(KVDType.f16, Float(1.1e-3)), (.q8_0, 3.6e-2)]) func prefixesInSmallerCaches(kv: KVDType, error: Float)
    throws
  {
    let tokens = randomTokens(20, vocabulary: 96, seed: 5)
    let (exact, rounded) = (try ModelRunner(Self.llama), try ModelRunner(Self.llama, kv: kv))
    let expected = exact.logits(tokens, mixture: try exact.mixture(Self.family("prefix-tuning")))
    let found = rounded.logits(tokens, mixture: try rounded.mixture(Self.family("prefix-tuning")))
    #expect(relativeError(found, expected) <= 2 * error)
  }
}
