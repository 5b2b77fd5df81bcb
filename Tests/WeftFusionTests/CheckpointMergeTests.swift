// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftFusion
import WeftTensors

/// Whole models, against what mergekit makes of them (tools/make_checkpoint_merge_goldens.py).
struct CheckpointMergeTests {
  private let folder: TemporaryFolder
  private static let goldens = TestPaths.goldens + "/checkpoint-merge/"

  init() throws { folder = try TemporaryFolder() }

  // MARK: - mergekit

  /// Recipes, and the largest error relative to the largest element that was measured.
  static let recipes: [(name: String, error: Float)] =
    [
      "linear", "linear-vocabulary", "linear-bf16", "task_arithmetic", "task_arithmetic-vocabulary", "ties",
      "ties-gradient", "dare_linear", "dare_ties", "della_linear", "breadcrumbs", "breadcrumbs_ties",
      "arcee_fusion"
    ].map { ($0, 0) } + [
      ("slerp", 1.3e-7), ("nuslerp", 1.5e-7), ("nuslerp-base", 7.8e-8), ("multislerp", 1.9e-7), ("karcher", 1.9e-7), ("model_stock", 8.4e-8), ("sce", 2.5e-8),
    ]

  @Test func allGoldensAreCompared() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.goldens).filter { $0.hasSuffix(".safetensors") }
    #expect(names.sorted() == Self.recipes.map { $0.name + ".safetensors" }.sorted())
  }

  @Test(arguments: recipes) func aMergeIsThatOfMergekit(name: String, error: Float) throws {
    let golden = try Golden("checkpoint-merge/\(name).safetensors")
    let recipe = try JSON(parsing: golden.file.metadata["recipe"] ?? "", location: name)
    let output = folder.file(name)
    let merge = CheckpointMerge(
      method: try .named(recipe["merge_method"]?.string ?? "", preferring: .delta),
      parameters: Self.parameters(recipe["parameters"]),
      dtype: recipe["out_dtype"]?.string == "bfloat16" ? .bf16 : .f32)
    let models = (recipe["models"]?.array ?? []).map { model in
      CheckpointMerge.Model(
        name: model["model"]?.string ?? "", path: Self.goldens + (model["model"]?.string ?? ""),
        parameters: Self.parameters(model["parameters"]))
    }
    try merge(models, base: recipe["base_model"]?.string.map { Self.goldens + $0 }, to: output)
    let merged = try Checkpoint(path: output)
    #expect(merged.tensors.count == 30)
    var largest: Float = 0
    for (name, tensor) in golden.file.tensors {
      let own = try #require(merged.tensors[name])
      #expect(own.shape == tensor.shape && own.dtype == tensor.dtype, "\(name)")
      largest = max(largest, relativeError(own.floats(), referenceFloats(tensor)))
    }
    #expect(largest <= 2 * error)
  }

  private static func parameters(_ json: JSON?) -> MergeParameters {
    var parameters = MergeParameters()
    func numbers(_ json: JSON?) -> [Float] {
      json?.array.map { $0.compactMap(\.double).map { Float($0) } } ?? json?.double.map { [Float($0)] }
        ?? json?.bool.map { [$0 ? 1 : 0] } ?? []
    }
    for (name, value) in json?.members ?? [] {
      if let list = value.array, list.contains(where: \.isObject) {
        for entry in list { parameters.add(name, .init(numbers(entry["value"]), filter: entry["filter"]?.string)) }
      } else {
        parameters.add(name, .init(numbers(value)))
      }
    }
    return parameters
  }

  // MARK: - Files

  private func merge(
    _ method: String = "linear", _ names: [String] = ["a", "b"], base: String? = nil, to output: String, dtype: DType? = nil,
    maximumShardBytes: Int = 1 << 40, parameters: [String: Float] = [:], progress: (Double) -> Bool = { _ in true }
  ) throws -> [String] {
    var merge = CheckpointMerge(
      method: try .named(method, preferring: .delta), parameters: MergeParameters(parameters), dtype: dtype)
    merge.maximumShardBytes = maximumShardBytes
    return try merge(
      names.map { .init(name: $0, path: $0.hasPrefix("/") ? $0 : Self.goldens + $0, weight: 0.5) },
      base: base.map { Self.goldens + $0 }, to: output, progress: progress)
  }

  @Test func shardsHoldTheSame() throws {
    let (one, many) = (folder.file("one"), folder.file("many"))
    var shares: [Double] = []
    _ = try merge("ties", base: "base", to: one) { share in
      shares.append(share)
      return true
    }
    _ = try merge("ties", base: "base", to: many, maximumShardBytes: 4000)
    #expect(shares.first == 0 && shares.last == 1 && shares == shares.sorted())
    let names = try FileManager.default.contentsOfDirectory(atPath: many)
    #expect(names.filter { $0.hasSuffix(".safetensors") }.count > 4 && names.contains("tokenizer_config.json"))
    let (first, second) = (try Checkpoint(path: one), try Checkpoint(path: many))
    for (name, tensor) in first.tensors { #expect(tensor.floats() == second.tensors[name]?.floats(), "\(name)") }
  }

  @Test func differentVocabulariesAreCutAndSaid() throws {
    let output = folder.file("out")
    let notes = try merge("linear", ["c", "a"], to: output, dtype: .f16)
    #expect(notes.count == 2 && notes[0].contains("first 40 rows"))
    let merged = try Checkpoint(path: output)
    #expect(merged.config?["vocab_size"]?.int == 40 && merged.config?["torch_dtype"]?.string == "float16")
    #expect(merged.tensors["lm_head.weight"]?.shape == [40, 16])
  }

  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  @Test func anInterruptedMergeLeavesNothing() throws {
    let output = folder.file("out")
    #expect(message { _ = try merge("ties", base: "base", to: output) { $0 < 0.5 } }.contains("interrupted"))
    #expect(try folder.contents.isEmpty)
  }

  @Test func whatDoesNotBelongTogetherIsRefusedByName() throws {
    let output = folder.file("out")
    let names: [(message: String, text: String)] = [
      (message { _ = try merge("ties", to: output) }, "base_model"),
      (message { _ = try merge("cat", to: output) }, "space delta"),
      (message { _ = try merge("ties", ["a", "/absent"], base: "base", to: output) }, "/absent"),
      (message { _ = try merge("task_arithmetic", ["a"], base: "c", to: output) }, "at least the rows of the base"),
      (message { _ = try merge("slerp", ["a", "b"], to: output) }, "parameter t"),
      (message { _ = try merge("linear", ["a", "a"], to: output) }, "'a' twice"),
      (message { _ = try merge("ties", base: "base", to: output, parameters: ["density": 2]) }, "density"),
      (message { _ = try merge("linear", to: output, dtype: .q8_0) }, "Q8_0"),
      (message { _ = try merge("linear", to: Self.goldens) }, "new or empty"),
      (message { _ = try merge("linear", ["a", TestPaths.goldens + "/families/bases/llama"], to: output) }, "tensor"),
      (message { _ = try merge("linear", ["a", TestPaths.goldens + "/families/bases/gpt2"], to: output) }, "architecture llama"),
    ]
    for (message, text) in names { #expect(message.contains(text), "\(message)") }
    #expect(try folder.contents.isEmpty)
  }

  @Test func filesOfGGUFAreMergedToo() throws {
    let (one, two) = (TestPaths.goldens + "/logits/gqa-tied/model.gguf", TestPaths.goldens + "/logits/gqa-tied-f16/model.gguf")
    let output = folder.file("merged.gguf")
    _ = try merge("linear", [one, two], to: output, dtype: .f32)
    let (merged, first, second) = (try GGUFFile(path: output), try GGUFFile(path: one), try GGUFFile(path: two))
    for (name, tensor) in merged.tensors {
      let (a, b) = (try #require(first.tensors[name]).floats(), try #require(second.tensors[name]).floats())
      // One rounding of each product, sum and quotient.
      #expect(relativeError(tensor.floats(), zip(a, b).map { ($0 + $1) / 2 }) <= 4e-7, "\(name)")
    }
    #expect(merged.metadataOrder.count >= first.metadataOrder.count)
    let quantized = TestPaths.goldens + "/logits/wide-q8_0/model.gguf"
    #expect(message { _ = try merge("linear", [quantized], to: folder.file("x.gguf")) }.contains("Q8_0"))
  }
}
