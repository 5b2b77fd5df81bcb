// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

/// Adapters that peft saved, against peft's own deltas (tools/make_goldens.py).
@Suite struct GoldenAdapterTests {
  /// The shape of a base in `Goldens/logits`. The wide one exists only as GGUF.
  static func base(_ name: String) throws -> BaseShape {
    if name == "wide-q8_0" {
      return BaseShape.llama(
        layerCount: 2, hiddenSize: 64, queryWidth: 64, keyValueWidth: 32, intermediateSize: 96, vocabularySize: 128,
        isTied: false)
    }
    let config = try JSON(file: TestPaths.goldens + "/logits/\(name)/config.json")
    func size(_ key: String) throws -> Int { try #require(config[key]?.int) }
    let width = try size("head_dim")
    return BaseShape.llama(
      layerCount: try size("num_hidden_layers"), hiddenSize: try size("hidden_size"),
      queryWidth: try size("num_attention_heads") * width, keyValueWidth: try size("num_key_value_heads") * width,
      intermediateSize: try size("intermediate_size"), vocabularySize: try size("vocab_size"),
      isTied: config["tie_word_embeddings"]?.bool == true)
  }

  static func read(_ name: String, on base: String) throws -> Adapter {
    try AdapterReader.read(folder: TestPaths.goldens + "/adapters/" + name, name: name, base: BaseModel(shape: Self.base(base)))
  }

  static let adapters: [(name: String, base: String, modules: Int, ranks: ClosedRange<Int>)] = [
    ("plain", "gqa-tied", 6, 8...8), ("all", "gqa-tied", 21, 4...4), ("rslora", "gqa-tied", 9, 6...6),
    ("patterns", "gqa-tied", 9, 2...5), ("layers", "gqa-tied", 4, 3...3), ("f16", "gqa-tied", 6, 4...4),
    ("bf16", "gqa-tied", 6, 4...4), ("lm-head", "mha-untied", 3, 4...4), ("biases", "biases", 14, 4...4),
    ("odd-heads", "odd-heads", 14, 5...5), ("wide", "wide-q8_0", 14, 8...8),
  ]

  @Test(arguments: adapters)
  func deltasAreThoseOfPeft(name: String, base: String, modules: Int, ranks: ClosedRange<Int>) throws {
    let shape = try Self.base(base)
    let adapter = try Self.read(name, on: base)
    #expect(adapter.deltas.sites.count == modules)
    #expect(adapter.deltas.ranks == ranks)
    #expect(adapter.name == name)
    #expect(adapter.family == "LoRA")
    #expect(adapter.baseModel == "weft/\(base)")
    #expect(adapter.provenance.peftVersion == "0.21.2")

    let expected = try Golden("adapters/\(name)/expected.safetensors")
    let goldens = expected.file.tensors.keys.filter { $0.hasPrefix("delta.") }
    #expect(!goldens.isEmpty)
    for golden in goldens {
      let site = try #require(adapter.deltas.sites.first { "delta.\(shape.modulePath($0))" == golden })
      let delta = try #require(adapter.deltas.operators[site]?.first)
      #expect(try expected.tensor(golden).shape == [delta.size.out, delta.size.in])
      // Equal where the scale is exact in Float; otherwise its rounding remains. Measured: 1.15e-7 (rslora).
      #expect(relativeError(try #require(delta.materialize()), try expected.floats(golden)) <= 2.3e-7, "\(golden)")
    }
  }

  /// What a case of targets.json says: configs as JSON text, and module path -> rank and scale.
  struct TargetCase {
    var config: [String: String] = [:]
    var modules: [String: (rank: Int, scale: Double)] = [:]
  }

  static func targetCases() throws -> [TargetCase] {
    let cases = try #require(JSON(file: TestPaths.goldens + "/adapters/targets.json").array)
    return try cases.map { item in
      var target = TargetCase()
      for (option, text) in try #require(item["config"]?.members) { target.config[option] = text.string }
      for (module, value) in try #require(item["modules"]?.members) {
        let numbers = try #require(value.array)
        target.modules[module] = (try #require(numbers[0].int), try #require(numbers[1].double))
      }
      return target
    }
  }

  /// Files with exactly the tensors that peft would save for a config, on gqa-tied.
  static func fixture(_ target: TargetCase, base: BaseShape) throws -> AdapterFixture {
    var fixture = try AdapterFixture()
    fixture.config = target.config
    fixture.tensors = [:]
    for site in sites(of: base) {
      guard let module = target.modules[base.modulePath(site)], let shape = base.shape(of: site) else { continue }
      let dot = try #require(base.modulePath(site).lastIndex(of: "."))
      try fixture.add(
        String(base.modulePath(site)[dot...].dropFirst()), at: "base_model.model." + base.modulePath(site)[..<dot],
        rank: module.rank, out: shape.out, in: shape.in)
    }
    return fixture
  }

  static func sites(of base: BaseShape) -> [WeightSite] {
    base.sites.filter { $0 != .outputHead }
  }

  @Test(arguments: 0..<12) func targetsAreThoseOfPeft(index: Int) throws {
    let cases = try Self.targetCases()
    #expect(cases.count == 12)
    let (target, base) = (cases[index], try Self.base("gqa-tied"))
    let adapter = try Self.fixture(target, base: base).read(base: base)
    #expect(Set(adapter.deltas.sites.map(base.modulePath)) == Set(target.modules.keys))
    for (site, list) in adapter.deltas.operators {
      let expected = try #require(target.modules[base.modulePath(site)])
      guard list.count == 1, case .lowRank(let factors) = list[0] else {
        Issue.record("\(site): expected one low-rank operator, found \(list.map(\.name))")
        continue
      }
      #expect(factors.rank == expected.rank)
      #expect(factors.scale == Float(expected.scale))
    }
  }

  /// One tensor pair more or less than peft would have is refused, whichever it is.
  @Test(arguments: 0..<12) func otherTargetsAreRefused(index: Int) throws {
    let (target, base) = (try Self.targetCases()[index], try Self.base("gqa-tied"))
    for site in Self.sites(of: base) {
      var changed = target
      let wasThere = changed.modules.removeValue(forKey: base.modulePath(site)) != nil
      if !wasThere { changed.modules[base.modulePath(site)] = (2, 0.5) }
      let tensor = "base_model.model.\(base.modulePath(site)).lora_A.weight"
      let error = try Self.fixture(changed, base: base).error(base: base)
      if changed.modules.isEmpty {
        #expect(error == "FOLDER/adapter_model.safetensors: expected tensors, found none")
      } else if wasThere {
        #expect(error == "FOLDER/adapter_model.safetensors: tensor '\(tensor)' is missing")
      } else {
        let reason = "would have no effect: the config does not target its module"
        #expect(error == "FOLDER/adapter_model.safetensors: tensor '\(tensor)' \(reason)")
      }
    }
  }
}
