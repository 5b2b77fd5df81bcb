// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftTensors

/// One way to break a `StructuredFamilyFixture`, and the error that it must give.
struct StructuredRefusal: Sendable, CustomTestStringConvertible {
  let family: String
  let testDescription: String
  let change: @Sendable (inout StructuredFamilyFixture) throws -> Void
  let error: @Sendable (_ config: String, _ tensors: String) -> AdapterError

  init(
    _ family: String, _ name: String, _ change: @escaping @Sendable (inout StructuredFamilyFixture) throws -> Void,
    error: @escaping @Sendable (_ config: String, _ tensors: String) -> AdapterError
  ) {
    self.family = family
    testDescription = "\(family): \(name)"
    self.change = change
    self.error = error
  }

  func check(base: BaseModel = StructuredFamilyFixture.base()) throws {
    var fixture = try StructuredFamilyFixture(family)
    try change(&fixture)
    let folder = try TemporaryFolder()
    let expected = error(folder.file("adapter_config.json"), folder.file("adapter_model.safetensors"))
    #expect(throws: expected, "\(testDescription)") { try fixture.read(from: folder, base: base) }
  }
}

struct StructuredFamilyRefusalTests {
  static let families = StructuredFamilyFixture.families
  private static let site = WeightSite.layer(0, .query)

  @Test(arguments: families) func theFixtureIsRight(family: String) throws {
    let adapter = try StructuredFamilyFixture(family).read(from: TemporaryFolder())
    #expect(adapter.deltas.sites == [.layer(0, .query), .layer(1, .query)])
    for operators in adapter.deltas.operators.values {
      for delta in operators {
        let change = try #require(delta.materialize())
        #expect(change.contains { $0 != 0 } && change.allSatisfy { $0.isFinite })
      }
    }
  }

  /// Every tensor is needed.
  @Test(arguments: families) func missingTensors(family: String) throws {
    for parameter in try StructuredFamilyFixture(family).shapes.keys.sorted() {
      let name = StructuredFamilyFixture.name(1, parameter)
      // A factor of LoKr that is not there is looked for whole.
      try StructuredRefusal(family, "without \(parameter)") {
        $0.tensors[name] = nil
      } error: { _, tensors in
        .missingTensor(location: tensors, tensor: name)
      }.check()
    }
  }

  @Test(arguments: families) func missingModules(family: String) throws {
    let parameters = try StructuredFamilyFixture(family).shapes.keys
    let folder = try TemporaryFolder()
    var fixture = try StructuredFamilyFixture(family)
    for parameter in parameters { fixture.tensors[StructuredFamilyFixture.name(1, parameter)] = nil }
    do {
      _ = try fixture.read(from: folder)
      Issue.record("\(family) was accepted")
    } catch AdapterError.missingTensor(_, let tensor) {
      #expect(tensor.hasPrefix("base_model.model.model.layers.1.self_attn.q_proj."))
    }
  }

  @Test(arguments: families) func modulesThatAreNotTargeted(family: String) throws {
    let parameters = try StructuredFamilyFixture(family).shapes.keys.sorted()
    try StructuredRefusal(family, "v_proj") {
      for parameter in parameters {
        $0.tensors[StructuredFamilyFixture.name(0, parameter, "v_proj")] =
          $0.tensors[StructuredFamilyFixture.name(0, parameter)]
      }
    } error: { _, tensors in
      .unusedTensor(location: tensors, tensor: StructuredFamilyFixture.name(0, parameters[0], "v_proj"))
    }.check()
  }

  @Test(arguments: families) func surplusTensors(family: String) throws {
    let name = StructuredFamilyFixture.name(0, "other_factor")
    let families = AdapterFamily.all.first { $0.peftType == family }?.name ?? ""
    try StructuredRefusal(family, "a tensor of no family") {
      $0.tensors[name] = try AdapterFixture.ones([2])
    } error: { _, tensors in
      .unknownTensor(location: tensors, tensor: name, expected: "tensors of \(families) for modules of this base")
    }.check()
  }

  @Test(arguments: families) func layersThatTheBaseDoesNotHave(family: String) throws {
    let parameters = try StructuredFamilyFixture(family).shapes.keys.sorted()
    let name = StructuredFamilyFixture.name(2, parameters[0])
    try StructuredRefusal(family, "layer 2 of 2") {
      $0.tensors[name] = $0.tensors[StructuredFamilyFixture.name(0, parameters[0])]
    } error: { _, tensors in
      .layerOutOfRange(location: tensors, tensor: name, layerCount: 2)
    }.check()
  }

  @Test(arguments: families) func unknownOptions(family: String) throws {
    try StructuredRefusal(family, "an unknown option") {
      $0.config["use_magic"] = "true"
    } error: { config, _ in
      .unknownOption(location: config, option: "use_magic", found: "true")
    }.check()
  }

  /// A tensor with one column too many, where shapes are not free.
  @Test(arguments: families) func wrongShapes(family: String) throws {
    let free = ["lokr_w1", "lokr_w2_a", "lokr_w2_b"]
    for (parameter, shape) in try StructuredFamilyFixture(family).shapes where !free.contains(parameter) {
      let name = StructuredFamilyFixture.name(0, parameter)
      let wide = shape.dropLast() + [(shape.last ?? 0) + 1]
      try StructuredRefusal(family, "\(parameter) too wide") {
        $0.tensors[name] = try StructuredFamilyFixture.tensor(parameter, Array(wide))
      } error: { _, tensors in
        .wrongShape(location: tensors, tensor: name, expected: shape, found: Array(wide))
      }.check()
    }
  }

  static let refusals: [StructuredRefusal] = [
    StructuredRefusal("LOHA", "another rank") {
      $0.config["r"] = "3"
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: StructuredFamilyFixture.name(0, "hada_w1_a"), expected: [6, 3], found: [6, 2])
    },
    StructuredRefusal("LOHA", "another rank by pattern") {
      $0.config["rank_pattern"] = "{\"layers.1.*q_proj\": 5}"
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: StructuredFamilyFixture.name(1, "hada_w1_a"), expected: [6, 5], found: [6, 2])
    },
    StructuredRefusal("LOHA", "a convolution's factor") {
      $0.tensors[StructuredFamilyFixture.name(0, "hada_t1")] = try AdapterFixture.ones([2, 2, 3, 3])
    } error: { _, tensors in
      .unknownTensor(
        location: tensors, tensor: StructuredFamilyFixture.name(0, "hada_t1"),
        expected: "tensors of LoHa for modules of this base")
    },
    StructuredRefusal("LOKR", "sizes that do not multiply to the module's") {
      $0.tensors[StructuredFamilyFixture.name(0, "lokr_w1")] = try AdapterFixture.ones([2, 3])
    } error: { _, tensors in
      .delta(
        location: tensors, site: site, .malformed(factor: "w1 (x) w2", expected: "[6, 4]", found: "[2, 3] (x) [3, 2]"))
    },
    StructuredRefusal("LOKR", "another rank") {
      $0.config["r"] = "4"
    } error: { _, tensors in
      .wrongRank(location: tensors, tensor: StructuredFamilyFixture.name(0, "lokr_w2_a"), expected: 4, found: 2)
    },
    StructuredRefusal("LOKR", "a factor both whole and in parts") {
      $0.tensors[StructuredFamilyFixture.name(0, "lokr_w2")] = try AdapterFixture.ones([3, 2])
    } error: { _, tensors in
      .duplicateTensor(
        location: tensors, tensor: StructuredFamilyFixture.name(0, "lokr_w2"),
        other: StructuredFamilyFixture.name(0, "lokr_w2_a"))
    },
    StructuredRefusal("LOKR", "a factor with three axes") {
      $0.tensors[StructuredFamilyFixture.name(0, "lokr_w1")] = try AdapterFixture.ones([2, 2, 1])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: StructuredFamilyFixture.name(0, "lokr_w1"), expected: [4, 1], found: [2, 2, 1])
    },
    StructuredRefusal("FOURIERFT", "more frequencies than elements") {
      $0.config["n_frequency"] = "25"
      $0.tensors[StructuredFamilyFixture.name(0, "fourierft_spectrum")] = try AdapterFixture.ones([25])
    } error: { _, tensors in
      .delta(location: tensors, site: site, .malformed(factor: "n_frequency", expected: "at most 24", found: "25"))
    },
    StructuredRefusal("FOURIERFT", "no frequencies") {
      $0.config["n_frequency_pattern"] = "{\"q_proj\": 0}"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "n_frequency_pattern", expected: "integers of at least 1", found: "0")
    },
    StructuredRefusal("FOURIERFT", "a scale that is no number") {
      $0.config["scaling"] = "\"150\""
    } error: { config, _ in
      .malformedOption(location: config, option: "scaling", expected: "a number", found: "\"150\"")
    },
    StructuredRefusal("WAVEFT", "more frequencies than elements") {
      $0.config["n_frequency"] = "25"
      $0.tensors[StructuredFamilyFixture.name(0, "waveft_spectrum")] = try AdapterFixture.ones([25])
    } error: { _, tensors in
      .delta(location: tensors, site: site, .malformed(factor: "n_frequency", expected: "at most 24", found: "25"))
    },
    StructuredRefusal("WAVEFT", "a wavelet that peft has no filter of") {
      $0.config["wavelet_family"] = "\"db11\""
    } error: { config, _ in
      .unsupportedOption(
        location: config, option: "wavelet_family",
        expected:
          "one of db1, db2, db3, db4, db5, db6, db7, db8, db9, db10, sym2, sym3, sym4, sym5, sym6, sym7, sym8, sym9, coif1, "
          + "coif2, coif3, coif4, sym10", found: "\"db11\"")
    },
    StructuredRefusal("WAVEFT", "in proportion, other counts") {
      $0.config["proportional_parameters"] = "true"
      $0.config["n_frequency"] = "4"
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: StructuredFamilyFixture.name(0, "waveft_spectrum"), expected: [4], found: [3])
    },
    StructuredRefusal("C3A", "blocks that do not divide the module") {
      $0.config["block_size"] = "4"
    } error: { _, tensors in
      .delta(location: tensors, site: site, .malformed(factor: "block_size", expected: "a divisor of [6, 4]", found: "4"))
    },
    StructuredRefusal("C3A", "another block size by pattern") {
      $0.config["block_size_pattern"] = "{\"q_proj\": 1}"
    } error: { _, tensors in
      .wrongShape(
        location: tensors, tensor: StructuredFamilyFixture.name(0, "c3a_kernel"), expected: [6, 4, 1], found: [3, 2, 2])
    },
    StructuredRefusal("MISS", "another rank") {
      $0.config["r"] = "3"
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: StructuredFamilyFixture.name(0, "miss_block"), expected: [3, 6], found: [2, 6])
    },
    StructuredRefusal("MISS", "a rank above the input") {
      $0.config["r"] = "5"
    } error: { _, tensors in
      .delta(location: tensors, site: site, .malformed(factor: "r", expected: "at most 4", found: "5"))
    },
    StructuredRefusal("MISS", "mini that does not divide the output") {
      $0.config["init_weights"] = "\"mini\""
      $0.config["mini_r"] = "4"
    } error: { _, tensors in
      .delta(location: tensors, site: site, .malformed(factor: "mini_r", expected: "a divisor of 6", found: "4"))
    },
    StructuredRefusal("MISS", "bat with tiles that do not fit") {
      $0.config["init_weights"] = "\"bat\""
      $0.config["r"] = "3"
    } error: { _, tensors in
      .delta(location: tensors, site: site, .malformed(factor: "r", expected: "a divisor of [6, 4]", found: "3"))
    },
    StructuredRefusal("MISS", "an unknown form") {
      $0.config["init_weights"] = "\"cat\""
    } error: { config, _ in
      .malformedOption(
        location: config, option: "init_weights", expected: "true, false, \"mini\" or \"bat\"", found: "\"cat\"")
    },
    StructuredRefusal("SHIRA", "another rank") {
      $0.config["r"] = "2"
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: StructuredFamilyFixture.name(0, "shira_weight"), expected: [20], found: [10])
    },
    StructuredRefusal("SHIRA", "a column beyond the input") {
      $0.tensors[StructuredFamilyFixture.name(0, "shira_indices")] = try StructuredFamilyFixture.integers(
        (0..<20).map { $0 < 10 ? 0 : 5 }, [2, 10])
    } error: { _, tensors in
      .delta(
        location: tensors, site: site, .malformed(factor: "shira_indices", expected: "places in [6, 4]", found: "(0, 5)"))
    },
    StructuredRefusal("SHIRA", "indices that are floats") {
      $0.tensors[StructuredFamilyFixture.name(0, "shira_indices")] = try AdapterFixture.ones([2, 10])
    } error: { _, tensors in
      .wrongType(
        location: tensors, tensor: StructuredFamilyFixture.name(0, "shira_indices"), expected: "I64, I32, I16 or U8",
        found: "F32")
    },
    StructuredRefusal("SUPERTUNING", "another sparsity") {
      $0.config["sparsity"] = "0.75"
    } error: { _, tensors in
      .wrongShape(
        location: tensors, tensor: StructuredFamilyFixture.name(0, "supertuning_values"), expected: [6], found: [12])
    },
    StructuredRefusal("SUPERTUNING", "a sparsity that leaves less than nothing") {
      $0.config["sparsity"] = "1.5"
    } error: { config, _ in
      .malformedOption(location: config, option: "sparsity", expected: "a number from 0 to below 1", found: "1.5")
    },
    StructuredRefusal("SUPERTUNING", "a rank without alpha") {
      $0.config["r"] = "2"
    } error: { config, _ in
      .malformedOption(location: config, option: "lora_alpha", expected: "a number, as r is given", found: "nothing")
    },
    StructuredRefusal("SUPERTUNING", "an index beyond the weight") {
      $0.tensors[StructuredFamilyFixture.name(0, "supertuning_indices")] = try StructuredFamilyFixture.integers(
        (0..<12).map { $0 + 13 }, [12])
    } error: { _, tensors in
      .indexOutOfRange(
        location: tensors, tensor: StructuredFamilyFixture.name(0, "supertuning_indices"), element: 11, expected: "0 to 23",
        found: 24)
    },
    StructuredRefusal("HIRA", "another rank") {
      $0.config["r"] = "4"
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: StructuredFamilyFixture.name(0, "hira_A"), expected: [4, 4], found: [2, 4])
    },
    StructuredRefusal("HIRA", "an embedding for another vocabulary") {
      $0.config["target_modules"] = "[\"q_proj\", \"embed_tokens\"]"
      $0.tensors["base_model.model.model.embed_tokens.hira_embedding_A"] = try AdapterFixture.ones([2, 8])
      $0.tensors["base_model.model.model.embed_tokens.hira_embedding_B"] = try AdapterFixture.ones([4, 2])
    } error: { _, tensors in
      .wrongShape(
        location: tensors, tensor: "base_model.model.model.embed_tokens.hira_embedding_A", expected: [2, 7], found: [2, 8])
    },
    StructuredRefusal("HIRA", "an embedding without tensors") {
      $0.config["target_modules"] = "[\"q_proj\", \"embed_tokens\"]"
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "base_model.model.model.embed_tokens.hira_embedding_A")
    },
    StructuredRefusal("HIRA", "an embedding that is not targeted") {
      $0.tensors["base_model.model.model.embed_tokens.hira_embedding_A"] = try AdapterFixture.ones([2, 7])
    } error: { _, tensors in
      .unusedTensor(location: tensors, tensor: "base_model.model.model.embed_tokens.hira_embedding_A")
    },
    StructuredRefusal("HIRA", "half an embedding") {
      $0.config["target_modules"] = "[\"q_proj\", \"embed_tokens\"]"
      $0.tensors["base_model.model.model.embed_tokens.hira_embedding_A"] = try AdapterFixture.ones([2, 7])
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "base_model.model.model.embed_tokens.hira_embedding_B")
    },
    StructuredRefusal("GLORA", "an unknown path") {
      $0.config["config_A_B"] = "\"matrix\""
    } error: { config, _ in
      .malformedOption(
        location: config, option: "config_A_B", expected: "one of lora, vector, constant, none", found: "\"matrix\"")
    },
    StructuredRefusal("GLORA", "a constant C, which peft does not have") {
      $0.config["config_C"] = "\"constant\""
    } error: { config, _ in
      .malformedOption(location: config, option: "config_C", expected: "one of lora, vector, none", found: "\"constant\"")
    },
    StructuredRefusal("GLORA", "zeros that are none") {
      $0.tensors[StructuredFamilyFixture.name(0, "glora_D.zeros")] = try AdapterFixture.ones([6])
    } error: { _, tensors in
      .delta(
        location: tensors, site: site,
        .malformed(factor: StructuredFamilyFixture.name(0, "glora_D.zeros"), expected: "zeros", found: "1.0 at element 0"))
    },
    StructuredRefusal("PEANUT", "an activation that is not known") {
      $0.config["act_fn"] = "\"xielu\""
    } error: { config, _ in
      .unsupportedOption(
        location: config, option: "act_fn",
        expected:
          "one of gelu, gelu_fast, gelu_new, gelu_python, gelu_pytorch_tanh, leaky_relu, linear, mish, quick_gelu, relu, "
          + "relu2, relu6, sigmoid, silu, swish, tanh", found: "\"xielu\"")
    },
    StructuredRefusal("PEANUT", "another depth") {
      $0.config["depth"] = "2"
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: StructuredFamilyFixture.name(0, "peanut_encoders.1.weight"))
    },
    StructuredRefusal("PEANUT", "a depth below zero") {
      $0.config["depth"] = "-1"
    } error: { config, _ in
      .malformedOption(location: config, option: "depth", expected: "an integer of at least 0", found: "-1")
    },
    StructuredRefusal("FROD", "V that was not saved") {
      $0.config["save_projection"] = "false"
    } error: { _, tensors in
      .notReproducible(
        location: tensors,
        reason: "the shared matrices V are not in the file, and depend on how the trainer's eigenvectors came out",
        remedy: "write the adapter again with save_projection true")
    },
    StructuredRefusal("FROD", "no V for the modules") {
      $0.tensors["base_model.frod_V.self_attn_q_proj"] = nil
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "base_model.frod_V.self_attn_q_proj")
    },
    StructuredRefusal("FROD", "no indices for the modules") {
      $0.tensors["base_model.frod_s_indices.self_attn_q_proj"] = nil
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "base_model.frod_s_indices.self_attn_q_proj")
    },
    StructuredRefusal("FROD", "V of another size") {
      $0.tensors["base_model.frod_V.self_attn_q_proj"] = try AdapterFixture.ones([5, 5])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "base_model.frod_V.self_attn_q_proj", expected: [4, 4], found: [5, 5])
    },
    StructuredRefusal("FROD", "V without an inverse") {
      $0.tensors["base_model.frod_V.self_attn_q_proj"] = try AdapterFixture.ones([4, 4])
    } error: { _, tensors in
      .linearAlgebra(location: tensors, .singular(pivot: 1))
    },
    StructuredRefusal("FROD", "an index beyond the input") {
      $0.tensors["base_model.frod_s_indices.self_attn_q_proj"] = try StructuredFamilyFixture.integers([0, 1, 2, 4], [2, 2])
    } error: { _, tensors in
      .indexOutOfRange(
        location: tensors, tensor: "base_model.frod_s_indices.self_attn_q_proj", element: 3, expected: "0 to 3", found: 4)
    },
  ]

  @Test(arguments: refusals) func refused(_ refusal: StructuredRefusal) throws { try refusal.check() }

  /// Places that are recomputed from the base need magnitudes that differ.
  @Test func equalMagnitudesAreRefused() throws {
    func unsaved(_ fixture: inout StructuredFamilyFixture) {
      fixture.config["save_precomputed_indices"] = "false"
      for layer in 0..<2 { fixture.tensors[StructuredFamilyFixture.name(layer, "supertuning_indices")] = nil }
    }
    var right = try StructuredFamilyFixture("SUPERTUNING")
    unsaved(&right)
    let change = try #require(
      try right.read(from: TemporaryFolder()).deltas.operators[.layer(0, .query)]?.first?.materialize())
    // The base's weights ascend: the largest is the last, and has the first value.
    #expect(change == [Float](repeating: 0, count: 12) + (0..<12).map { Float((11 - $0) % 7 + 1) / 8 })
    let equal = BaseModel(
      shape: AdapterFixture.base,
      values: .init(
        weight: { _ in (0..<24).map { Float($0 / 2) * ($0 % 2 == 0 ? 1 : -1) } }, bias: { _ in nil }, embedding: { _ in [] }))
    let folder = try TemporaryFolder()
    do {
      _ = try right.read(from: folder, base: equal)
      Issue.record("it was accepted")
    } catch AdapterError.notReproducible(_, let reason, _) {
      #expect(reason.contains("model.layers.0.self_attn.q_proj"))
    }
  }

  /// Families whose change depends on the base say so when they are read for a shape alone.
  @Test(arguments: ["HIRA", "GLORA", "PEANUT", "FROD"]) func baseWeightsAreNeeded(family: String) throws {
    try StructuredRefusal(family, "only a shape") { _ in
    } error: { _, tensors in
      .needsBaseWeights(location: tensors)
    }.check(base: BaseModel(shape: AdapterFixture.base))
  }

  /// A base with other sizes.
  @Test(arguments: ["LOHA", "C3A", "MISS", "SHIRA", "SUPERTUNING", "HIRA", "GLORA", "PEANUT", "FROD", "LOKR"])
  func anotherBase(family: String) throws {
    let other = BaseShape.llama(
      layerCount: 2, hiddenSize: 10, queryWidth: 12, keyValueWidth: 3, intermediateSize: 5, vocabularySize: 7)
    let folder = try TemporaryFolder()
    do {
      _ = try StructuredFamilyFixture(family).read(from: folder, base: StructuredFamilyFixture.base(other))
      Issue.record("\(family) was accepted")
    } catch AdapterError.wrongShape(_, let tensor, _, _) {
      #expect(tensor.contains("q_proj"))
    } catch AdapterError.delta(_, let site, _) {
      #expect(site == .layer(0, .query))
    }
  }
}
