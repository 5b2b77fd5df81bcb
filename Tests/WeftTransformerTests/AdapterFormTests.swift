// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// Logits of adapters in forms that are not peft's (tools/make_adapter_form_goldens.py).
///
/// The errors that are stated were measured, the largest of all tiers; bounds are twice as much.
struct AdapterFormTests {
  /// One reading of a golden adapter.
  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    let base: String
    var file = ""
    var options = AdapterOptions()
    var tensor = "logits"
    let error: Float

    var testDescription: String { "\(name) \(tensor)" }
    var path: String { TestPaths.goldens + "/forms/" + name + (file.isEmpty ? "" : "/" + file) }
    var basePath: String { TestPaths.goldens + "/families/bases/" + base }
    func golden() throws -> Golden { try Golden("forms/\(name)/expected.safetensors") }
  }

  static let gguf = "adapter.gguf", single = "adapter.safetensors"
  static let cases = [
    Case(name: "gguf-lora", base: "llama", file: gguf, error: 6.4e-7),
    Case(name: "gguf-lora-q8_0", base: "llama", file: gguf, error: 8.2e-7),
    Case(name: "gguf-lora-embedding", base: "llama", file: gguf, error: 5.8e-7),
    Case(name: "gguf-lora-types", base: "llama", file: gguf, error: 5.7e-7),
    Case(name: "gguf-lora-experts", base: "mixtral", file: gguf, error: 1.4e-6),
    Case(name: "gguf-lora-gpt2", base: "gpt2", file: gguf, error: 5.2e-7),
    Case(name: "gguf-lora-norms", base: "llama", file: gguf, error: 7.3e-7),
    Case(name: "gguf-control", base: "llama", file: gguf, error: 2.3e-6),
    Case(
      name: "gguf-control", base: "llama", file: gguf, options: AdapterOptions(strength: -0.5, layers: 0...1),
      tensor: "logits.strength -0.5", error: 2.4e-6),
    Case(name: "mlx-lora", base: "llama", error: 5.4e-7),
    Case(name: "mlx-keys", base: "llama-bias", error: 6.2e-7),
    Case(name: "mlx-dora", base: "llama", error: 6.2e-7),
    Case(name: "mlx-dora-bias", base: "llama-bias", error: 1.2e-6),
    Case(name: "mlx-embedding", base: "llama", error: 1.1e-6),
    Case(name: "mlx-experts", base: "mixtral", error: 1.7e-6),
    Case(name: "mlx-full", base: "llama", error: 6.8e-7),
    Case(name: "single-loralib", base: "llama", file: single, options: AdapterOptions(alpha: 3), error: 4.8e-7),
    Case(name: "single-kohya", base: "llama", file: single, error: 7.2e-7),
    Case(name: "single-old", base: "llama-bias", file: single, options: AdapterOptions(alpha: 4), error: 9.1e-7),
    Case(name: "bitdelta", base: "llama", file: single, error: 7.4e-7),
    Case(name: "ssf", base: "llama-bias", file: single, error: 1.3e-6),
    Case(name: "nola", base: "llama", file: single, error: 6.7e-7),
    Case(name: "mos", base: "llama", file: single, error: 7.3e-7),
    Case(name: "steering", base: "llama", file: single, error: 4.4e-7),
    Case(name: "bottleneck-pfeiffer", base: "llama", error: 1.1e-6),
    Case(name: "bottleneck-houlsby", base: "llama", error: 1e-6),
    Case(name: "bottleneck-gpt2", base: "gpt2", error: 3.8e-7),
    Case(name: "bottleneck-norms", base: "llama", error: 7.3e-7),
    Case(name: "bottleneck-parallel", base: "llama", error: 1.3e-6),
    Case(name: "bottleneck-learned", base: "llama", error: 1.2e-6),
    Case(name: "bottleneck-plus", base: "llama", error: 5.9e-7),
    Case(name: "bottleneck-layers", base: "llama", error: 6.2e-7),
  ]

  /// Whole models, in the three forms of a task vector.
  static let models = [
    (name: "task-folder", base: "llama-bias", file: ""), (name: "task-gguf", base: "llama", file: "model.gguf"),
    (name: "task-gpt2", base: "gpt2", file: ""), (name: "task-experts", base: "mixtral", file: ""),
  ]
  static let taskVectors = models.flatMap { model in
    [
      Case(name: model.name, base: model.base, file: model.file, error: 1.3e-6),
      Case(
        name: model.name, base: model.base, file: model.file, options: AdapterOptions(taskVector: .sparse(share: 0.2)),
        tensor: "logits.sparse 0.2", error: 9.4e-7),
      Case(
        name: model.name, base: model.base, file: model.file, options: AdapterOptions(taskVector: .lowRank(4)),
        tensor: "logits.rank 4", error: 4.3e-6),
    ]
  }

  /// What rounding activations costs adapters with quantised factors, as measured.
  static let rounding: [String: Float] = ["gguf-lora-q8_0": 0.0226, "gguf-lora-types": 0.00097]

  private func adapter(_ one: Case, _ runner: ModelRunner) throws -> Adapter {
    try AdapterReader.read(folder: one.path, name: "test", base: runner.weights.base, options: one.options)
  }

  private func mixture(_ one: Case, _ runner: ModelRunner, weight: Float = 1) throws -> ActiveMixture {
    let resident = try ResidentAdapter(adapter(one, runner).deltas, groups: runner.weights.inputGroups, pool: runner.pool)
    try runner.transformer.reserve(for: resident)
    return ActiveMixture([(resident, .test(weight))])
  }

  @Test(arguments: cases + taskVectors, availableTiers) func logitsAreThoseOfTheReference(one: Case, isa: ISA) throws {
    let golden = try one.golden()
    let tokens = try golden.integers("tokens").map(Int32.init)
    let runner = try ModelRunner(one.basePath, isa: isa)
    let expected = try golden.floats(one.tensor)
    var logits = runner.logits(tokens, mixture: try mixture(one, runner))
    if let error = Self.rounding[one.name] {
      // Quantised factors read activations in int8; in floats they are the reference's.
      #expect(relativeError(logits, expected) <= error * 2)
      let expanded = try CompressedAdapterTests.expanded(adapter(one, runner).deltas)
      logits = runner.logits(tokens, mixture: try CompressedAdapterTests.active(expanded, runner))
    }
    #expect(relativeError(logits, expected) <= one.error * 2)
  }

  /// Deltas of whole modules: the operators, worked into the base's weight, less the base's weight.
  @Test(arguments: cases + taskVectors.filter { $0.tensor == "logits" }) func deltasAreThoseOfTheReference(one: Case) throws {
    let golden = try one.golden()
    let runner = try ModelRunner(one.basePath)
    let (base, deltas) = (runner.weights.base, try adapter(one, runner).deltas)
    for name in golden.names where name.hasPrefix("delta.") {
      let module = try #require(base.shape.module(at: String(name.dropFirst("delta.".count))))
      var found: [Float] = []
      for site in module.sites {
        let size = try #require(base.shape.shape(of: site))
        let own = try #require(base.values).weight(site)
        let fused = try FusedMap(
          weight: own, bias: nil, size: size, terms: [(weight: 1, operators: deltas.operators[site] ?? [])])
        found += zip(fused.weight, own).map { $0 - $1 }
      }
      // Measured: 1.8e-7.
      let error = relativeError(found, try golden.floats(name))
      #expect(error <= 3.6e-7, "\(name)")
    }
  }

  static let invocation = Case(name: "gguf-lora-alora", base: "llama", file: gguf, error: 4.8e-7)

  /// The adapter acts from the last place of its invocation tokens on.
  @Test func invocationTokens() throws {
    let one = Self.invocation
    let golden = try one.golden()
    let tokens = try golden.integers("tokens").map(Int32.init)
    let runner = try ModelRunner(one.basePath)
    let deltas = try adapter(one, runner).deltas
    #expect(deltas.invocation == [7, 11])
    let active = try mixture(one, runner)
    let begin = 5
    #expect(Array(tokens[begin..<begin + 2]) == [7, 11] && !tokens[(begin + 1)...].contains(7))
    runner.batch.removeAll()
    runner.append(tokens[..<begin], to: 0, mixture: nil, logits: .all)
    runner.append(tokens[begin...], to: 0, mixture: active, logits: .all)
    runner.transformer.forward(runner.batch)
    let logits = tokens.indices.flatMap { Array(runner.transformer.logits($0)) }
    let error = relativeError(logits, try golden.floats("logits"))
    #expect(error <= one.error * 2)
  }

  /// Rows of different mixtures of hidden operators get exactly what each gets alone: in one step, in pieces, with threads.
  @Test func batchesOfHiddenStates() throws {
    let names = ["gguf-control", "steering", "bottleneck-houlsby", "bottleneck-norms", "bottleneck-parallel", "gguf-lora"]
    let cases = names.compactMap { name in Self.cases.first { $0.name == name } }
    let runner = try ModelRunner(cases[0].basePath)
    let threaded = try ModelRunner(cases[0].basePath, threads: 3)
    func rows(_ runner: ModelRunner) throws -> [ModelRunner.Row] {
      var mixtures: [ActiveMixture?] = try cases.map { try mixture($0, runner, weight: 0.5) }
      let pair = try cases[2...3].map { one in
        (
          adapter: try ResidentAdapter(adapter(one, runner).deltas, groups: runner.weights.inputGroups, pool: runner.pool),
          weight: Float(0.7)
        )
      }
      mixtures += [ActiveMixture(pair), nil]
      return mixtures.enumerated().map { index, mixture in
        ModelRunner.Row(tokens: randomTokens(5 + 3 * index, vocabulary: 96, seed: UInt64(index)), mixture: mixture)
      }
    }
    let together = try rows(runner)
    let alone = together.map { runner.logits($0.tokens, mixture: $0.mixture) }
    let ways = [runner.logits(together), runner.logits(together, chunk: 4), try threaded.logits(rows(threaded))]
    for (way, result) in zip(["together", "in pieces", "on threads"], ways) {
      for index in alone.indices { #expect(sameBits(result[index], alone[index]), "\(way), row \(index)") }
    }
  }

  /// Forms whose change can become part of the weights, fused: the same logits. Embeddings and hidden states are not weights.
  @Test(arguments: cases + taskVectors) func fusedLogits(one: Case) throws {
    let golden = try one.golden()
    let tokens = try golden.integers("tokens").map(Int32.init)
    let runner = try ModelRunner(one.basePath)
    let deltas = try adapter(one, runner).deltas
    let before = runner.logits(tokens)
    guard deltas.unfusablePart == nil else { return }
    try runner.weights.fuse([(deltas, .test(1))])
    let error = relativeError(runner.logits(tokens), try golden.floats(one.tensor))
    // Measured: 1.8e-6.
    #expect(error <= 3.6e-6)
    runner.weights.unfuse([deltas])
    #expect(sameBits(runner.logits(tokens), before))
  }

  /// Parts of a task vector add up to it: norms, biases, embedding and positions too.
  @Test func wholeModelsAreSums() throws {
    let one = try #require(Self.taskVectors.first { $0.name == "task-gpt2" && $0.tensor == "logits" })
    let tokens = try one.golden().integers("tokens").map(Int32.init)
    let runner = try ModelRunner(one.basePath)
    let resident = try ResidentAdapter(adapter(one, runner).deltas, groups: runner.weights.inputGroups, pool: runner.pool)
    try runner.transformer.reserve(for: resident)
    let whole = runner.logits(tokens, mixture: ActiveMixture([(resident, 1)]))
    let halves = runner.logits(tokens, mixture: ActiveMixture([(resident, 0.25), (resident, 0.75)]))
    // Measured: 4e-7.
    #expect(relativeError(halves, whole) <= 8e-7)
  }

  /// Weights scale what adapters do to hidden states; zero is the base to the bit, and two halves are the whole.
  @Test(arguments: ["gguf-control", "bottleneck-houlsby", "bottleneck-plus"]) func weights(name: String) throws {
    let one = try #require(Self.cases.first { $0.name == name })
    let tokens = try one.golden().integers("tokens").map(Int32.init)
    let runner = try ModelRunner(one.basePath)
    let resident = try ResidentAdapter(adapter(one, runner).deltas, groups: runner.weights.inputGroups, pool: runner.pool)
    let whole = runner.logits(tokens, mixture: ActiveMixture([(resident, 1)]))
    let halves = runner.logits(tokens, mixture: ActiveMixture([(resident, 0.5), (resident, 0.5)]))
    // Measured: 1e-7.
    #expect(relativeError(halves, whole) <= 2e-7)
    #expect(runner.logits(tokens, mixture: ActiveMixture([(resident, 0)])) == runner.logits(tokens))
  }
}
