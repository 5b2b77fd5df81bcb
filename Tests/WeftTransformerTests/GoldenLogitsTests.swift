// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors
import WeftTransformer

/// Logits and residual streams of transformers (float64) for random tiny models, made by tools/make_goldens.py.
///
/// Errors are the largest difference over the largest magnitude. What stands in the tables was measured, the largest of all tiers
/// and of both forms of a model; the bound is twice as much.
struct GoldenLogitsTests {
  /// A model with the error of its logits, and of its residual stream after one layer.
  struct Model: Sendable {
    let name: String
    let logits: Float
    let hidden: Float

    init(_ name: String, logits: Float, hidden: Float) {
      self.name = name
      self.logits = logits
      self.hidden = hidden
    }
  }

  static let models = [
    Model("gqa-tied", logits: 3.6e-6, hidden: 5.9e-7), Model("gqa-tied-f16", logits: 1.9e-6, hidden: 5.1e-7),
    Model("gqa-tied-bf16", logits: 2.3e-6, hidden: 5.0e-7), Model("biases", logits: 1.5e-6, hidden: 5.6e-7),
    Model("llama3-rope", logits: 1.9e-6, hidden: 3.9e-7), Model("linear-rope", logits: 7.1e-7, hidden: 8.4e-7),
    Model("odd-heads", logits: 1.2e-6, hidden: 5.2e-7),
  ]

  static func compare(_ path: String, isa: ISA, golden: Golden, to tensor: String = "logits") throws -> Float {
    let tokens = try golden.integers("tokens").map(Int32.init)
    return relativeError(try ModelRunner(path, isa: isa).logits(tokens), try golden.floats(tensor))
  }

  @Test(arguments: models, availableTiers)
  func logitsAreThoseOfTransformers(model: Model, isa: ISA) throws {
    let golden = try Golden("logits/\(model.name)/logits.safetensors")
    for form in [model.name, model.name + "/model.gguf"] {
      let error = try Self.compare(ModelRunner.golden(form), isa: isa, golden: golden)
      #expect(error <= model.logits * 2, "\(form)")
    }
  }

  /// A model in shards, which exists as a folder only.
  @Test(arguments: availableTiers) func shardedModel(isa: ISA) throws {
    let golden = try Golden("logits/mha-untied/logits.safetensors")
    let error = try Self.compare(ModelRunner.golden("mha-untied"), isa: isa, golden: golden)
    // Measured: 5.8e-7.
    #expect(error <= 1.2e-6)
  }

  /// Quantised weights read int8 activations. Where the reference rounds them too, what is left is f32; no activation of these
  /// tokens lies so near a rounding boundary that f32 would take the other side. Against the plain reference the rounding shows.
  @Test(arguments: [("wide-q8_0", 2.2e-7, 0.0651), ("wide-q4_0", 6.8e-7, 0.0515)] as [(String, Float, Float)], availableTiers)
  func quantizedModels(model: (name: String, error: Float, rounding: Float), isa: ISA) throws {
    let golden = try Golden("logits/\(model.name)/logits.safetensors")
    let path = ModelRunner.golden(model.name + "/model.gguf")
    #expect(try Self.compare(path, isa: isa, golden: golden, to: "logits_int8") <= model.error * 2)
    #expect(try Self.compare(path, isa: isa, golden: golden) <= model.rounding * 2)
  }

  /// bf16 weights read activations rounded to bf16. Where the reference rounds them too, what is left is f32: no activation of
  /// these tokens lies so near a rounding boundary that f32 takes the other side. Against the plain reference the rounding shows.
  @Test(arguments: ["", "/model.gguf"], availableTiers) func roundedActivations(form: String, isa: ISA) throws {
    let golden = try Golden("logits/gqa-tied-bf16/logits.safetensors")
    let path = ModelRunner.golden("gqa-tied-bf16" + form)
    let tokens = try golden.integers("tokens").map(Int32.init)
    let runner = try ModelRunner(path, isa: isa, roundsActivations: true)
    let logits = runner.logits(tokens)
    let (same, exact) = (
      relativeError(logits, try golden.floats("logits_bf16")), relativeError(logits, try golden.floats("logits"))
    )
    // Measured: 1.1e-7, 2.12e-2 and 1.6e-7.
    #expect(same <= 2.2e-7)
    #expect(exact <= 4.24e-2)
    let hidden = try ModelRunner(path, isa: isa, roundsActivations: true).hidden(tokens, layers: 1)
    let inside = relativeError(hidden, try golden.floats("hidden_bf16"))
    #expect(inside <= 3.2e-7)
  }

  /// Keys and values rounded to f16.
  @Test(arguments: [("gqa-tied", 1.43e-3), ("odd-heads/model.gguf", 1.53e-3)] as [(String, Float)], availableTiers)
  func halfPrecisionCache(model: (path: String, error: Float), isa: ISA) throws {
    let golden = try Golden("logits/\(model.path.split(separator: "/")[0])/logits.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    let runner = try ModelRunner(ModelRunner.golden(model.path), isa: isa, kv: .f16)
    #expect(relativeError(runner.logits(tokens), try golden.floats("logits")) <= model.error * 2)
  }

  @Test(arguments: models, availableTiers)
  func hiddenAfterOneLayer(model: Model, isa: ISA) throws {
    let golden = try Golden("logits/\(model.name)/logits.safetensors")
    let runner = try ModelRunner(ModelRunner.golden(model.name), isa: isa)
    let tokens = try golden.integers("tokens").map(Int32.init)
    let error = relativeError(runner.hidden(tokens, layers: 1), try golden.floats("hidden"))
    #expect(error <= model.hidden * 2)
  }

  /// A step with fewer layers leaves the residual stream of those layers, and one with all of them computes logits.
  @Test func layerLimits() throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"))
    let tokens = randomTokens(20, vocabulary: 96, seed: 1)
    let whole = runner.logits(tokens)
    let limited = (0...4).map { runner.hidden(tokens, layers: $0) }
    #expect(Set(limited.map { $0[0].bitPattern }).count == 4, "three layers and their input")
    #expect(sameBits(limited[3], limited[4]), "there are three layers")
    let embedding = runner.weights.embedding
    #expect(sameBits(limited[0], tokens.flatMap { token in (0..<32).map { embedding.floats()[Int(token) * 32 + $0] } }))
    #expect(sameBits(runner.logits(tokens), whole))
  }
}
