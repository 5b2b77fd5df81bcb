// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// Deltas put into the weights, and taken out again.
struct FuseTests {
  static let tokens = randomTokens(24, vocabulary: 96, seed: 4)

  /// A base, mixtures, and the error of fused against unfused logits that was measured; bounds are twice as much. A 16-bit base
  /// rounds the fused weights once more.
  static let cases: [(base: String, mixtures: [String], error: Float)] = [
    ("gqa-tied", ["plain", "all", "rslora:-0.5,plain:1.5", "all:0.25,layers,patterns:0.5"], 2.8e-6),
    ("gqa-tied/model.gguf", ["plain", "all", "rslora:-0.5,plain:1.5", "all:0.25,layers,patterns:0.5"], 2.8e-6),
    ("gqa-tied-f16", ["all", "plain:0.7,f16:0.3"], 1.8e-3), ("gqa-tied-f16/model.gguf", ["all", "plain:0.7,f16:0.3"], 1.8e-3),
    ("gqa-tied-bf16", ["all", "plain:0.7,f16:0.3"], 2.2e-2),
    ("gqa-tied-bf16/model.gguf", ["all", "plain:0.7,f16:0.3"], 2.2e-2),
    ("mha-untied", ["lm-head"], 1.3e-6), ("biases/model.gguf", ["biases:0.8"], 2e-6),
    ("odd-heads/model.gguf", ["odd-heads"], 1.1e-6),
  ]

  static func deltas(_ text: String, _ runner: ModelRunner) throws -> [(set: DeltaSet, part: Mixture.Part)] {
    try Mixture(parsing: text).parts.map { (try runner.adapter($0.adapter).deltas, $0) }
  }

  @Test(arguments: cases) func fusedIsUnfused(base: String, mixtures: [String], error: Float) throws {
    let runner = try ModelRunner(ModelRunner.golden(base), threads: 2)
    let original = runner.logits(Self.tokens)
    for text in mixtures {
      let deltas = try Self.deltas(text, runner)
      let beside = runner.logits(Self.tokens, mixture: try runner.mixture(text))
      try runner.weights.fuse(deltas)
      let fused = runner.logits(Self.tokens)
      #expect(relativeError(fused, beside) <= error * 2, "\(text)")
      #expect(relativeError(fused, original) > 0.1, "\(text) changes the model")
      runner.weights.unfuse(deltas.map(\.set))
      #expect(sameBits(runner.logits(Self.tokens), original), "\(text): the base is not what it was")
    }
  }

  /// Fused logits against the reference that adds the deltas to the base in float64.
  @Test func fusedMixtureIsTheReference() throws {
    let golden = try Golden("adapters/mixtures.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied/model.gguf"))
    for text in golden.file.tensors.keys where text != "tokens" {
      let deltas = try Self.deltas(text, runner)
      try runner.weights.fuse(deltas)
      // Measured: 2.8e-6.
      #expect(relativeError(runner.logits(tokens), try golden.floats(text)) <= 5.6e-6, "\(text)")
      runner.weights.unfuse(deltas.map(\.set))
    }
  }

  /// What is fused and what is active beside it add up.
  @Test func activeBesideFused() throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"))
    let expected = runner.logits(Self.tokens, mixture: try runner.mixture("all,plain"))
    try runner.weights.fuse(Self.deltas("plain", runner))
    let found = runner.logits(Self.tokens, mixture: try runner.mixture("all"))
    // Measured: 1.6e-6.
    #expect(relativeError(found, expected) <= 3.2e-6)
  }

  /// Fusing starts from the file each time: it replaces what was fused at a site, and never adds up rounding.
  @Test func fusingAgainReplaces() throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied-f16"))
    let deltas = try Self.deltas("all", runner)
    try runner.weights.fuse(deltas)
    let once = runner.logits(Self.tokens)
    try runner.weights.fuse(Self.deltas("all:0.5", runner))
    #expect(!sameBits(runner.logits(Self.tokens), once))
    try runner.weights.fuse(deltas)
    #expect(sameBits(runner.logits(Self.tokens), once))
  }

  @Test(arguments: [("wide-q8_0", "Q8_0"), ("wide-q4_0", "Q4_0")])
  func quantizedBasesAreRefused(base: String, storage: String) throws {
    let runner = try ModelRunner(ModelRunner.golden(base + "/model.gguf"))
    let before = runner.logits(Self.tokens)
    let error = ModelError.fuseNeedsFloat(tensor: "blk.0.attn_q.weight", found: storage)
    #expect(throws: error) { try runner.weights.fuse(Self.deltas("wide", runner)) }
    #expect(
      error.description
        == "fuse: expected a base with F32, F16 or BF16 weights, found \(storage) in blk.0.attn_q.weight")
    #expect(sameBits(runner.logits(Self.tokens), before))
  }
}
