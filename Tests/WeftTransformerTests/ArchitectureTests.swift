// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// Small random models of every architecture against transformers, from both forms of checkpoint, alone and with LoRA on every
/// linear map (tools/make_architecture_goldens.py; Goldens/architectures/README.md says what each one switches on).
struct ArchitectureTests {
  static let folder = TestPaths.goldens + "/architectures"

  /// A model, and the largest relative error of its logits that was measured on any tier, in F32; bounds are twice as much.
  static let models: [(name: String, error: Float)] = [
    ("gemma-mha", 3.5e-7), ("gemma-mqa", 1.2e-6), ("gemma2-caps", 7.9e-7), ("gemma2-scalar", 2.9e-7),
    ("gemma3-linear", 1.3e-6), ("gemma3-nested", 4.8e-7), ("gemma3-pattern", 7e-7), ("gemma3-scalar", 4.5e-7),
    ("gpt2-inner", 4.3e-7), ("gpt2-tied", 6.5e-7), ("granite-biases", 3.4e-7), ("granite-tied", 2e-7),
    ("llama-biases", 5.2e-7), ("llama-llama3", 1.3e-6), ("llama-yarn", 1.3e-6), ("mistral-nemo", 5.4e-7),
    ("mistral-window", 8.9e-7), ("mixtral-top2", 6.4e-7), ("mixtral-window", 9.5e-7), ("olmo2-gqa", 6.2e-7),
    ("olmo2-mha", 5.2e-7), ("openelm-wide-heads", 5.7e-7), ("openelm-widths", 1.1e-6), ("phi3-gqa", 1.3e-6),
    ("phi3-window", 1.4e-6), ("phi4mini-long", 2.2e-6), ("phi4mini-short", 1.1e-6), ("qwen2-tied", 9.4e-7),
    ("qwen2-window", 3.2e-6), ("qwen2moe-mixed", 4.2e-6), ("qwen2moe-shared", 1.3e-6), ("qwen3-tied", 6e-7),
    ("qwen3-yarn", 7.3e-7), ("qwen3moe-mixed", 5.1e-7), ("qwen3moe-norm", 4.4e-7), ("smollm3-list", 1.4e-6),
    ("smollm3-nope", 1.6e-6),
  ]

  /// A model, an adapter of it, and the measured error.
  static let adapters: [(name: String, adapter: String, error: Float)] = [
    ("gemma-mqa", "adapter", 2.6e-6), ("gemma2-caps", "adapter", 9.1e-7), ("gemma3-scalar", "adapter", 5.4e-7),
    ("gpt2-tied", "adapter", 7.9e-7), ("granite-tied", "adapter", 2.5e-7), ("llama-biases", "adapter", 4.6e-6),
    ("mistral-nemo", "adapter", 2.2e-6), ("mixtral-top2", "adapter", 1.2e-6), ("mixtral-top2", "adapter-per-expert", 9.4e-7),
    ("olmo2-gqa", "adapter", 7.6e-7), ("openelm-widths", "adapter", 3.6e-6), ("phi3-gqa", "adapter", 1.2e-6),
    ("phi3-gqa", "adapter-unfused", 1.4e-6), ("phi4mini-long", "adapter", 1.3e-6), ("qwen2-tied", "adapter", 1.9e-6),
    ("qwen2moe-mixed", "adapter", 2.9e-6), ("qwen2moe-shared", "adapter-per-expert", 1.7e-6),
    ("qwen3-tied", "adapter", 8.1e-7), ("qwen3moe-norm", "adapter", 6.9e-7), ("smollm3-nope", "adapter", 2e-6),
  ]

  /// The folder, and the GGUF file where there is one.
  static func forms(_ name: String) -> [String] {
    [name, name + "/model.gguf"].map { folder + "/" + $0 }.filter { FileManager.default.fileExists(atPath: $0) }
  }

  /// LongRoPE chooses its divisors by the longest sequence that will be run.
  static func context(_ name: String) -> Int? { name == "phi4mini-short" ? 16 : nil }

  @Test func everyGoldenHasARow() throws {
    let folders = try FileManager.default.contentsOfDirectory(atPath: Self.folder).filter { !$0.hasSuffix(".md") }
    #expect(Set(folders) == Set(Self.models.map(\.name)))
    for folder in folders {
      let found = try FileManager.default.contentsOfDirectory(atPath: Self.folder + "/" + folder)
      let rows = Self.adapters.filter { $0.name == folder }.map(\.adapter)
      #expect(Set(found.filter { $0.hasPrefix("adapter") }) == Set(rows), "\(folder)")
    }
  }

  @Test(arguments: models, availableTiers)
  func logitsAreThoseOfTransformers(model: (name: String, error: Float), isa: ISA) throws {
    let golden = try Golden("architectures/\(model.name)/logits.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    for form in Self.forms(model.name) {
      let runner = try ModelRunner(form, isa: isa, context: Self.context(model.name))
      // GGUF cannot say that a Mistral has a window.
      let expected = form.hasSuffix(".gguf") && model.name == "mistral-window" ? "logits_full" : "logits"
      #expect(relativeError(runner.logits(tokens), try golden.floats(expected)) <= model.error * 2, "\(form)")
    }
  }

  /// The eight tokens that transformers chooses after the prompt; decoding them gives the logits of a whole pass.
  @Test(arguments: models) func greedyTokens(model: (name: String, error: Float)) throws {
    let golden = try Golden("architectures/\(model.name)/logits.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    // The reference of a context that is not fixed would change its divisors on the way.
    guard model.name != "phi4mini-short" else { return }
    let runner = try ModelRunner(Self.folder + "/" + model.name)
    let continued = runner.greedy(from: tokens, count: tokens.count + 8)
    #expect(try continued[tokens.count...].map(Int.init) == golden.integers("greedy"))
  }

  @Test(arguments: adapters, availableTiers)
  func adaptedLogitsAreThoseOfPeft(row: (name: String, adapter: String, error: Float), isa: ISA) throws {
    let golden = try Golden("architectures/\(row.name)/\(row.adapter)/expected.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    for form in Self.forms(row.name) {
      let runner = try ModelRunner(form, isa: isa, context: Self.context(row.name))
      let (deltas, mixture) = try Self.mixture(row.name, row.adapter, runner)
      #expect(Set(deltas.sites) == Set(runner.weights.shape.sites).subtracting([.outputHead]), "every linear map")
      let logits = runner.logits(tokens, mixture: mixture)
      #expect(relativeError(logits, try golden.floats("logits")) <= row.error * 2, "\(form)")
    }
  }

  static func mixture(
    _ name: String, _ adapter: String, _ runner: ModelRunner, weight: Float = 1
  ) throws -> (DeltaSet, ActiveMixture) {
    let read = try AdapterReader.read(
      folder: folder + "/\(name)/\(adapter)", name: adapter, base: runner.weights.base)
    let resident = try ResidentAdapter(read.deltas, groups: runner.weights.inputGroups, pool: runner.pool)
    return (read.deltas, ActiveMixture([(resident, weight)]))
  }

  /// Fused into the weights, the same adapters give the same logits: transposed, fused and stacked weights included. Weights
  /// are BF16 here, so that W + dW is rounded once more.
  @Test(
    arguments: [("gpt2-tied", 7.4e-3), ("phi3-gqa", 1.2e-2), ("mixtral-top2", 1.1e-2), ("openelm-widths", 4.7e-2)]
      as [(String, Float)])
  func fusedLogits(name: String, measured: Float) throws {
    let golden = try Golden("architectures/\(name)/adapter/expected.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    let runner = try ModelRunner(Self.folder + "/" + name)
    let base = runner.logits(tokens)
    let (deltas, _) = try Self.mixture(name, "adapter", runner)
    try runner.weights.fuse([(deltas, .test(1))])
    #expect(relativeError(runner.logits(tokens), try golden.floats("logits")) <= measured * 2)
    runner.weights.unfuse([deltas])
    #expect(sameBits(runner.logits(tokens), base))
  }

  /// A sequence computes the same in pieces, beside others with other mixtures, and with any number of threads.
  @Test(
    arguments: [
      ("mixtral-top2", "adapter"), ("qwen2moe-mixed", "adapter"), ("gemma2-caps", "adapter"), ("gemma3-scalar", "adapter"),
      ("openelm-widths", "adapter"), ("phi4mini-long", "adapter"), ("gpt2-tied", "adapter"), ("olmo2-gqa", "adapter"),
    ], availableTiers)
  func invariance(model: (name: String, adapter: String), isa: ISA) throws {
    var results: [[[Float]]] = []
    for threads in [1, 3] {
      let runner = try ModelRunner(Self.folder + "/" + model.name, threads: threads, isa: isa)
      let (_, full) = try Self.mixture(model.name, model.adapter, runner)
      let (_, half) = try Self.mixture(model.name, model.adapter, runner, weight: 0.5)
      let rows = [(40, full), (1, nil), (17, half), (33, nil), (5, full)].enumerated().map { index, row in
        ModelRunner.Row(tokens: randomTokens(row.0, vocabulary: 48, seed: UInt64(index)), mixture: row.1)
      }
      let alone = rows.map { runner.logits($0.tokens, mixture: $0.mixture) }
      for chunk in [nil, 1, 7] {
        for (index, logits) in runner.logits(rows, chunk: chunk).enumerated() {
          #expect(sameBits(logits, alone[index]), "\(threads) threads, sequence \(index), \(chunk ?? 0) tokens a step")
        }
      }
      results.append(alone)
    }
    for (one, many) in zip(results[0], results[1]) { #expect(sameBits(one, many), "threads") }
  }
}
