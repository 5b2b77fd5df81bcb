// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftEngine
import WeftFormats
import WeftTensors

/// Checkpoints that Weft makes of a base and adapters.
struct ModelFusionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let families = TestPaths.goldens + "/families"
  private static func adapter(_ name: String) -> String { TestPaths.goldens + "/adapters/" + name }
  private static func base(_ name: String) -> String { TestPaths.goldens + "/logits/" + name }

  private static func logits(
    _ path: String, _ tokens: [Int32], adapters: [String] = [], mixture: String = "base"
  ) throws -> [Float] {
    let engine = try Engine(model: path, options: EngineOptions(threads: 1, contextLength: tokens.count + 1, kvType: .f32))
    for name in adapters { try engine.loadAdapter(name, from: adapter(name)) }
    var result: [Float] = []
    try engine.logits(of: tokens, adapters: AdapterMixture(parsing: mixture)) { _, row in result += row }
    return result
  }

  /// Cases of peft with a base of their own layers: folder, base, and the largest error of their fused logits that was measured.
  static let cases: [(name: String, base: String, error: Float)] = {
    let measured = try? JSON(file: TestPaths.goldens + "/families-measured.json")
    let names = (try? FileManager.default.contentsOfDirectory(atPath: families)) ?? []
    return names.sorted().compactMap { name in
      guard let file = try? SafetensorsFile(path: "\(families)/\(name)/expected.safetensors"),
        let about = try? JSON(parsing: file.metadata["weft"] ?? "", location: name), about["adapter"] == nil,
        about["task"] == nil, let base = about["base"]?.string
      else { return nil }
      return (name, base, Float(measured?[name]?["fused"]?.double ?? 0))
    }
  }()

  /// A folder of every family that peft merges, against peft's own logits.
  @Test func everyFamilyThatBecomesWeights() throws {
    var (count, embeddings) = (0, 0)
    for family in Self.cases {
      let golden = try Golden("families/\(family.name)/expected.safetensors")
      let tokens = try golden.integers("tokens").map { Int32($0) }
      let output = folder.file(family.name)
      let fusion: ModelFusion
      do throws(EngineError) {
        fusion = try ModelFusion(
          model: "\(Self.families)/bases/\(family.base)",
          adapters: [("one", "\(Self.families)/\(family.name)", AdapterLoadOptions())], mixture: ["one"], threads: 2)
      } catch {
        #expect(family.error == 0, "\(family.name): \(error.message)")
        continue
      }
      _ = try fusion.write(to: output, form: .folder) { _ in }
      let error = relativeError(try Self.logits(output, tokens), try golden.floats("logits"))
      print("MEASURE", family.name, error, family.error)
      (count, embeddings) = (count + 1, embeddings + (family.error == 0 ? 1 : 0))
      #expect(error <= max(2 * family.error, 2e-6), "\(family.name)")
      try FileManager.default.removeItem(atPath: output)
    }
    #expect(count > 100 && embeddings > 0, "\(count) \(embeddings)")
  }

  /// Base, type, form, mixture of adapters, and the error against the adapters beside the base that was measured.
  static let forms: [(base: String, form: ModelFusion.Form, mixture: String, error: Float)] = [
    ("gqa-tied", .folder, "rslora:-0.5,plain:1.5", 2.8e-6), ("gqa-tied", .gguf, "rslora:-0.5,plain:1.5", 2.8e-6),
    ("gqa-tied/model.gguf", .gguf, "all:0.25,layers,patterns:0.5", 2.8e-6),
    ("gqa-tied-f16", .folder, "plain:0.7,f16:0.3", 1.8e-3), ("gqa-tied-bf16", .gguf, "plain:0.7,f16:0.3", 2.2e-2),
    ("mha-untied", .folder, "lm-head", 1.3e-6), ("mha-untied", .gguf, "lm-head", 1.3e-6),
    ("biases/model.gguf", .gguf, "biases:0.8", 2e-6), ("biases", .gguf, "biases:0.8", 2e-6),
    ("odd-heads/model.gguf", .gguf, "odd-heads", 1.1e-6),
  ]

  @Test(arguments: forms) func fusedIsBeside(base: String, form: ModelFusion.Form, mixture: String, error: Float) throws {
    let tokens = (0..<24).map { Int32(($0 * 37 + 11) % 96) }
    let names = try AdapterMixture(parsing: mixture).adapters.map(\.name)
    let output = folder.file(form == .gguf ? "fused.gguf" : "fused")
    let fusion = try ModelFusion(
      model: Self.base(base), adapters: names.map { ($0, Self.adapter($0), AdapterLoadOptions()) },
      mixture: AdapterMixture(parsing: mixture), threads: 2)
    let tensors = try fusion.write(to: output, form: form) { _ in }
    let beside = try Self.logits(Self.base(base), tokens, adapters: names, mixture: mixture)
    let fused = try Self.logits(output, tokens)
    #expect(relativeError(fused, beside) <= 2 * error, "measured \(error)")
    #expect(relativeError(fused, try Self.logits(Self.base(base), tokens)) > 0.01, "it changes the model")
    #expect(!tensors.isEmpty && tensors.allSatisfy { $0.error < 4e-3 && abs($0.survival - 1) < 0.1 })
  }
}
