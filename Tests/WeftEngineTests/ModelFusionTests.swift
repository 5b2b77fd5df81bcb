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
      (count, embeddings) = (count + 1, embeddings + (family.error == 0 ? 1 : 0))
      // Measured for those that change embeddings, which memory cannot fuse: 1.2e-6.
      #expect(error <= (family.error > 0 ? 2 * family.error : 2.4e-6), "\(family.name)")
      try FileManager.default.removeItem(atPath: output)
    }
    #expect(count == 171 && embeddings == 18, "\(count) \(embeddings)")
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

  // MARK: - Quantised

  private func fusion(_ base: String, _ adapter: String, master: String? = nil) throws -> ModelFusion {
    try ModelFusion(
      model: base, master: master, adapters: [("one", "\(Self.families)/\(adapter)", AdapterLoadOptions())],
      mixture: ["one"], threads: 2)
  }

  /// Quantising the fused float file gives the same bytes: nothing is rounded twice. The printed error is that of the bytes.
  @Test(arguments: [QuantizationType.q4_0, .q8_0]) func fusedIntoAQuantisedFile(type: QuantizationType) throws {
    let fusion = try fusion("\(Self.families)/bases/llama", "lora-dora")
    let (float, direct, later) = (folder.file("a.gguf"), folder.file("b.gguf"), folder.file("c.gguf"))
    _ = try fusion.write(to: float, form: .gguf) { _ in }
    let tensors = try fusion.write(to: direct, form: .gguf, type: type) { _ in }
    try ModelWriter(ModelSource(path: float), type: type, threads: 1).write(to: later) { _ in }
    let (one, two, exact) = (try GGUFFile(path: direct), try GGUFFile(path: later), try GGUFFile(path: float))
    let base = try GGUFFile(path: convert("\(Self.families)/bases/llama"))
    #expect(!tensors.isEmpty)
    for (name, tensor) in one.tensors {
      #expect(tensor.floats() == two.tensors[name]?.floats(), "\(name)")
      guard let fused = tensors.first(where: { $0.name == name }) else { continue }
      let (found, wanted) = (tensor.floats(), try #require(exact.tensors[name]).floats())
      let delta = zip(wanted, try #require(base.tensors[name]).floats()).map { $0 - $1 }
      let difference = zip(found, wanted).map { $0 - $1 }
      let (lost, size, change) = (norm(difference), norm(wanted), norm(delta))
      var along = 0.0
      for (d, e) in zip(delta, difference) { along += Double(d) * Double(e) }
      let share: Double = 1 + along / (change * change)
      // The differences here are rounded to Float.
      #expect(abs(fused.error - lost / size) < 1e-4 * fused.error)
      #expect(abs(fused.noise - lost / change) < 1e-4 * fused.noise)
      #expect(abs(fused.survival - share) < 1e-4)
    }
  }

  private func norm(_ values: [Float]) -> Double { values.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot() }

  private func convert(_ model: String, _ type: QuantizationType = .f32) throws -> String {
    let path = folder.file("base-\(type.rawValue).gguf")
    try ModelWriter(ModelSource(path: model), type: type, threads: 1).write(to: path) { _ in }
    return path
  }

  @Test func quantisedWeightsNeedTheirOriginal() throws {
    let model = "\(Self.families)/bases/llama"
    let small = try convert(model, .q4_0)
    let error = #expect(throws: EngineError.self) { _ = try fusion(small, "lora-dora") }
    #expect(error?.status == .unsupported && error?.message.contains("float original") == true, "\(error?.message ?? "")")
    #expect(error?.message.contains("blk.0.attn_q.weight") == true && error?.message.contains("Q4_0") == true)
    let (direct, later) = (folder.file("a.gguf"), folder.file("b.gguf"))
    _ = try fusion(small, "lora-dora", master: model).write(to: direct, form: .gguf) { _ in }
    _ = try fusion(model, "lora-dora").write(to: later, form: .gguf, type: .q4_0) { _ in }
    #expect(try readBytes(direct) == readBytes(later))
    let other = #expect(throws: EngineError.self) { _ = try fusion(small, "lora-dora", master: Self.base("gqa-tied")) }
    #expect(other?.message.contains("expected the original of") == true)
  }

  // MARK: - Folders

  @Test func shardsHoldTheSameAndCompanionsComeAlong() throws {
    let model = folder.file("model")
    try FileManager.default.copyItem(atPath: "\(Self.families)/bases/llama", toPath: model)
    try folder.write(Array("{}".utf8), to: "model/tokenizer_config.json")
    let fusion = try fusion(model, "lora-dora")
    let (whole, shards) = (folder.file("whole"), folder.file("shards"))
    _ = try fusion.write(to: whole, form: .folder) { _ in }
    _ = try fusion.write(to: shards, form: .folder, type: .bf16, maximumShardBytes: 20_000) { _ in }
    let names = try FileManager.default.contentsOfDirectory(atPath: shards)
    #expect(names.contains("tokenizer_config.json") && names.contains("model.safetensors.index.json") && names.count > 4)
    #expect(try FileManager.default.contentsOfDirectory(atPath: whole).count == 3)
    let (one, two) = (try Checkpoint(path: whole), try Checkpoint(path: shards))
    #expect(Set(one.tensors.keys) == Set(two.tensors.keys) && two.config?["dtype"]?.string == "bfloat16")
    for (name, tensor) in one.tensors {
      #expect(try tensor.converted(to: .bf16).floats() == two.tensors[name]?.floats(), "\(name)")
    }
    // A folder that has something is left alone.
    #expect(throws: EngineError.self) { _ = try fusion.write(to: whole, form: .folder) { _ in } }
    let file = #expect(throws: EngineError.self) {
      _ = try fusion.write(to: whole + "/new", form: .folder, type: .q4_0) { _ in }
    }
    #expect(file?.message.contains("GGUF") == true)
    #expect(!FileManager.default.fileExists(atPath: whole + "/new"))
  }

  @Test func aHeadThatWasTheEmbeddingBecomesItsOwn() throws {
    let fusion = try ModelFusion(
      model: "\(Self.families)/bases/llama-tied",
      adapters: [("one", "\(Self.families)/lora-embeddings", AdapterLoadOptions())], mixture: [.init("one", weight: 0.5)],
      threads: 1)
    let (path, file) = (folder.file("fused"), folder.file("fused.gguf"))
    _ = try fusion.write(to: path, form: .folder) { _ in }
    _ = try fusion.write(to: file, form: .gguf) { _ in }
    let checkpoint = try Checkpoint(path: path)
    #expect(checkpoint.config?["tie_word_embeddings"]?.bool == false)
    let (head, embedding) = (checkpoint.tensors["lm_head.weight"], checkpoint.tensors["model.embed_tokens.weight"])
    #expect(head != nil && head?.floats() != embedding?.floats())
    let tokens = (0..<24).map { Int32(($0 * 37 + 11) % 96) }
    #expect(try Self.logits(path, tokens) == Self.logits(file, tokens))
  }

  @Test func mixturesAreCheckedBeforeAnythingIsWritten() throws {
    let model = "\(Self.families)/bases/llama"
    let cases: [(adapter: String, mixture: String, text: String)] = [
      ("lora-dora", "two", "no adapter of this name"), ("lora-dora", "base", "at least one adapter"),
      ("lora-dora", "one@7", "layer"), ("prompt-tuning", "one", "prompt"), ("oft-bias", "one:0.5", "weight"),
    ]
    for (adapter, mixture, text) in cases {
      let error = #expect(throws: EngineError.self) {
        _ = try ModelFusion(
          model: adapter == "oft-bias" ? "\(Self.families)/bases/llama-bias" : model,
          adapters: [("one", "\(Self.families)/\(adapter)", AdapterLoadOptions())], mixture: AdapterMixture(parsing: mixture))
      }
      #expect(error?.message.contains(text) == true, "\(error?.message ?? "")")
    }
  }
}
