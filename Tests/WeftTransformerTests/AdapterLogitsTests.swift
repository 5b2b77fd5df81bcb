// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// Logits of peft's adapters beside the base (tools/make_goldens.py): alone, mixed, and in batches of different mixtures.
///
/// The errors that are stated were measured, the largest of all tiers and of both forms of the base; bounds are twice as much.
struct AdapterLogitsTests {
  /// An adapter, its base, and the error that was measured.
  static let adapters: [(name: String, base: String, error: Float)] = [
    ("plain", "gqa-tied", 2.2e-6), ("all", "gqa-tied", 2.6e-6), ("rslora", "gqa-tied", 2.3e-6),
    ("patterns", "gqa-tied", 1.2e-6),
    ("layers", "gqa-tied", 1.2e-6), ("f16", "gqa-tied", 1.5e-6), ("bf16", "gqa-tied", 1.5e-6),
    ("lm-head", "mha-untied", 7.5e-7),
    ("biases", "biases", 2.6e-6), ("odd-heads", "odd-heads", 2.1e-6),
  ]

  @Test(arguments: adapters, availableTiers)
  func logitsAreThoseOfPeft(adapter: (name: String, base: String, error: Float), isa: ISA) throws {
    let golden = try Golden("adapters/\(adapter.name)/expected.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    // The base in shards exists as a folder only.
    for form in adapter.base == "mha-untied" ? [""] : ["", "/model.gguf"] {
      let runner = try ModelRunner(ModelRunner.golden(adapter.base + form), isa: isa)
      let logits = runner.logits(tokens, mixture: try runner.mixture(adapter.name))
      let error = relativeError(logits, try golden.floats("logits"))
      #expect(error <= adapter.error * 2, "\(adapter.base)\(form)")
    }
  }

  /// Weighted sums of deltas, which the reference adds to the base in float64.
  @Test(arguments: ["gqa-tied", "gqa-tied/model.gguf"], availableTiers) func mixtures(base: String, isa: ISA) throws {
    let golden = try Golden("adapters/mixtures.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    let texts = golden.file.tensors.keys.filter { $0 != "tokens" }
    #expect(texts.count == 7)
    let runner = try ModelRunner(ModelRunner.golden(base), isa: isa)
    for text in texts {
      let logits = runner.logits(tokens, mixture: try runner.mixture(text))
      // Measured: 3.6e-6 for all:0, which is the base alone; 2.1e-6 at most for the others.
      #expect(relativeError(logits, try golden.floats(text)) <= (text == "all:0" ? 7.2e-6 : 4.2e-6), "\(text)")
    }
  }

  /// The base reads int8 activations, the factors read floats: so does the reference. See `GoldenLogitsTests`.
  @Test(arguments: availableTiers) func besideQuantizedWeights(isa: ISA) throws {
    let golden = try Golden("adapters/wide/expected.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    let cases: [(base: String, tensor: String, error: Float)] = [
      ("wide-q8_0", "logits_int8", 3.9e-7), ("wide-q4_0", "logits_int8_q4_0", 4.7e-7), ("wide-q8_0", "logits", 0.082),
    ]
    for (base, tensor, error) in cases {
      let runner = try ModelRunner(ModelRunner.golden(base + "/model.gguf"), isa: isa)
      let logits = runner.logits(tokens, mixture: try runner.mixture("wide"))
      #expect(relativeError(logits, try golden.floats(tensor)) <= error * 2, "\(base) \(tensor)")
    }
  }

  /// Nothing active, and everything active at weight zero, is the base to the bit.
  /// Writing weights into a mixture in use is the same as making a new one, and only for the same adapters.
  @Test func reweighting() throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"))
    let (plain, all) = try (resident("plain", runner), resident("all", runner))
    let tokens: [Int32] = [1, 7, 20, 33]
    let mixture = ActiveMixture([(plain, 1), (all, -0.5)])
    let before = runner.logits(tokens, mixture: mixture)
    let parts: [ActiveMixture.Member] = [(plain, .test(0.25)), (all, .test(2))]
    let others: [ActiveMixture.Member] = [(all, .test(1)), (plain, .test(1))]
    let reloaded: [ActiveMixture.Member] = [(try resident("plain", runner), .test(1)), (all, .test(1))]
    #expect(mixture.reweight(parts))
    let expected = runner.logits(tokens, mixture: ActiveMixture(parts))
    #expect(runner.logits(tokens, mixture: mixture) == expected && before != expected)
    #expect(!mixture.reweight(others) && !mixture.reweight(Array(parts.prefix(1))))
    #expect(!mixture.reweight(reloaded), "another object of the same name")
    #expect(runner.logits(tokens, mixture: mixture) == expected)
  }

  private func resident(_ name: String, _ runner: ModelRunner) throws -> ResidentAdapter {
    try ResidentAdapter(
      runner.adapter(name).deltas, groups: runner.weights.inputGroups, pool: runner.pool)
  }

  @Test(arguments: ["gqa-tied", "gqa-tied-f16"]) func nothingIsTheBase(base: String) throws {
    let runner = try ModelRunner(ModelRunner.golden(base))
    let tokens = randomTokens(20, vocabulary: 96, seed: 3)
    let alone = runner.logits(tokens)
    #expect(sameBits(runner.logits(tokens, mixture: ActiveMixture([])), alone))
    #expect(sameBits(runner.logits(tokens, mixture: try runner.mixture("all:0,plain:0")), alone))
    #expect(try runner.mixture("base").isEmpty)
  }

  static let batches: [(base: String, mixtures: [String?])] = [
    ("gqa-tied", ["plain", nil, "all:0.5", "plain:0.7,all:0.3", "base", "rslora:-0.5,plain:1.5", "layers,patterns", "all"]),
    ("gqa-tied-f16/model.gguf", ["f16,bf16:0.5", "all", nil, "layers", "plain", "patterns,all,rslora", "bf16", "plain:2"]),
    ("mha-untied", ["lm-head", nil, "lm-head:0.5", "lm-head:-1", nil, "base", "lm-head", "lm-head:3"]),
    ("wide-q8_0/model.gguf", ["wide", nil, "wide:0.5", "wide:-1", nil, "base", "wide", "wide:3"]),
    ("wide-q4_0/model.gguf", [nil, "wide:0.25", "wide", nil, "wide:2", "wide", "base", "wide"]),
  ]

  /// A batch whose rows use different mixtures gives each row exactly what it gets alone: in one step, in pieces, and with
  /// threads.
  @Test(arguments: batches, availableTiers)
  func rowsOfDifferentMixtures(batch: (base: String, mixtures: [String?]), isa: ISA) throws {
    let runner = try ModelRunner(ModelRunner.golden(batch.base), isa: isa)
    let threaded = try ModelRunner(ModelRunner.golden(batch.base), threads: 3, isa: isa)
    func rows(_ runner: ModelRunner) throws -> [ModelRunner.Row] {
      try zip(batch.mixtures, InvarianceTests.rows).map { text, row in
        ModelRunner.Row(tokens: row.tokens, mixture: try text.map(runner.mixture))
      }
    }
    let together = try rows(runner)
    let alone = together.map { runner.logits($0.tokens, mixture: $0.mixture) }
    let results = [
      runner.logits(together), runner.logits(together, chunk: 5), try threaded.logits(rows(threaded)),
    ]
    for (way, result) in zip(["together", "in pieces", "on threads"], results) {
      for index in alone.indices {
        #expect(sameBits(result[index], alone[index]), "\(way): \(batch.mixtures[index] ?? "none"), row \(index)")
      }
    }
    // The mixtures do something, and different mixtures do different things.
    let prefix = batch.mixtures.map { text in
      (text ?? "base", runner.logits([7, 8], mixture: text.flatMap { try? runner.mixture($0) }))
    }
    for (one, other) in prefix.flatMap({ one in prefix.map { (one, $0) } }) {
      #expect(sameBits(one.1, other.1) == (one.0 == other.0), "\(one.0) and \(other.0)")
    }
  }
}
