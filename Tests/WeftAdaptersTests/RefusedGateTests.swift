// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftTensors

/// Folders in one folder, as PEFT saves several adapters; the first is read.
struct FolderRefusal: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let make: @Sendable () throws -> [(name: String, adapter: AdapterFixture)]
  var options = AdapterOptions()
  /// The error, with the folder's own path before every location.
  let error: @Sendable (_ folder: String) -> AdapterError

  func check() throws {
    let folder = try TemporaryFolder()
    let folders = try make()
    for (name, adapter) in folders { try adapter.write(to: folder, below: name) }
    let expected = error(folder.path)
    #expect(throws: expected) {
      try AdapterReader.read(
        folder: folder.file(folders[0].name), name: "tiny", base: BaseModel(shape: AdapterFixture.base), options: options)
    }
  }
}

/// Wrong inputs of the families that choose among experts, and of AdaLoRA, at least three for each.
struct RefusedGateTests {
  static let query = "base_model.model.model.layers.0.self_attn.q_proj"
  static let classifier = "base_model.internal_xlora_classifier.layers.0"

  @Test(arguments: arrows) func arrow(_ refused: FolderRefusal) throws { try refused.check() }
  @Test(arguments: xloras) func xlora(_ refused: FolderRefusal) throws { try refused.check() }
  @Test(arguments: polys) func poly(_ refused: FolderRefusal) throws { try refused.check() }
  @Test(arguments: lilies) func lily(_ refused: FolderRefusal) throws { try refused.check() }
  @Test(arguments: adaptives) func adaLoRA(_ refused: FolderRefusal) throws { try refused.check() }

  @Test func theFixturesAreRight() throws {
    for folders in [
      try Self.arrow(), try Self.xlora(), [("a", try Self.poly())], [("a", try Self.lily())], [("a", try Self.adaLoRA())],
    ] as [[(name: String, adapter: AdapterFixture)]] {
      let folder = try TemporaryFolder()
      for (name, adapter) in folders { try adapter.write(to: folder, below: name) }
      let adapter = try AdapterReader.read(
        folder: folder.file(folders[0].name), name: "tiny", base: BaseModel(shape: AdapterFixture.base))
      #expect(adapter.deltas.sites == [.layer(0, .query), .layer(1, .query)])
    }
  }

  static let arrows: [FolderRefusal] = [
    FolderRefusal(testDescription: "an expert without its folder") {
      try arrow().filter { $0.name != "task_1" }
    } error: {
      .missingFile(location: "\($0)/arrow_router", name: "the folder 'task_1' of an expert, in it or beside it,")
    },
    FolderRefusal(testDescription: "an expert that is no folder's name") {
      try arrow(members: "\"task_adapter_names\": [\"../task_0\"], \"top_k\": 1")
    } error: {
      .malformedOption(
        location: "\($0)/arrow_router/adapter_config.json", option: "arrow_config.task_adapter_names",
        expected: "names of folders", found: "'../task_0'")
    },
    FolderRefusal(testDescription: "more chosen experts than there are") {
      try arrow(members: "\"task_adapter_names\": [\"task_0\", \"task_1\"], \"top_k\": 3")
    } error: {
      .malformedOption(
        location: "\($0)/arrow_router/adapter_config.json", option: "arrow_config.top_k", expected: "a number from 1 to 2",
        found: "3")
    },
    FolderRefusal(testDescription: "general adapters that are not named") {
      try arrow(members: "\"task_adapter_names\": [\"task_0\"], \"top_k\": 1, \"use_gks\": true")
    } error: {
      .malformedOption(
        location: "\($0)/arrow_router/adapter_config.json", option: "arrow_config.gks_adapter_names",
        expected: "the names of general adapters", found: "nothing")
    },
    FolderRefusal(testDescription: "an expert of another rank") {
      var folders = try arrow()
      folders[2].adapter = try lora(rank: 3)
      return folders
    } error: {
      .wrongRank(
        location: "\($0)/task_1/adapter_model.safetensors", tensor: "\(query).lora_A.weight", expected: 2, found: 3)
    },
    FolderRefusal(testDescription: "an expert with DoRA") {
      var folders = try arrow()
      folders[1].adapter.config["use_dora"] = "true"
      return folders
    } error: {
      .unsupportedOption(
        location: "\($0)/task_0/adapter_config.json", option: "use_dora", expected: "it off in an expert of a gate",
        found: "true")
    },
    FolderRefusal(testDescription: "an expert that is another router") {
      try arrow(members: "\"task_adapter_names\": [\"arrow_router\"], \"top_k\": 1")
    } error: {
      .unsupportedOption(
        location: "\($0)/arrow_router/adapter_config.json", option: "arrow_config", expected: "it absent or off",
        found: "an object")
    },
  ]

  static let xloras: [FolderRefusal] = [
    FolderRefusal(testDescription: "a classifier that peft did not save") {
      var folders = try xlora()
      folders[0].adapter.tensors = [:]
      return folders
    } error: {
      .notReproducible(
        location: "\($0)/xlora/adapter_model.safetensors",
        reason: "tensor '\(classifier).weight' of the classifier is missing, which peft 0.21.2 and before leave out",
        remedy: "write internal_xlora_classifier.state_dict() of the trained model to this file, with "
          + "'base_model.internal_xlora_classifier.' before each name")
    },
    FolderRefusal(testDescription: "a classifier for another number of experts") {
      var folders = try xlora()
      folders[0].adapter.tensors["\(classifier).weight"] = try AdapterFixture.ones([3, 4])
      return folders
    } error: {
      .wrongShape(
        location: "\($0)/xlora/adapter_model.safetensors", tensor: "\(classifier).weight", expected: [2, 4], found: [3, 4])
    },
    FolderRefusal(testDescription: "a classifier of another model") {
      var folders = try xlora()
      folders[0].adapter.config["hidden_size"] = "8"
      return folders
    } error: {
      .malformedOption(
        location: "\($0)/xlora/adapter_config.json", option: "hidden_size", expected: "4, as the base has", found: "8")
    },
    FolderRefusal(testDescription: "an expert that is nowhere") {
      var folders = try xlora()
      folders[0].adapter.config["adapters"] = "{\"0\": \"0\", \"7\": \"nowhere\"}"
      return folders
    } error: {
      .missingFile(location: "\($0)/xlora", name: "the folder '7' or 'nowhere' of an expert")
    },
    FolderRefusal(testDescription: "a first pass with the experts") {
      var folders = try xlora()
      folders[0].adapter.config["scaling_pass_value"] = "0.5"
      return folders
    } error: {
      .unsupportedOption(
        location: "\($0)/xlora/adapter_config.json", option: "scaling_pass_value",
        expected: "0: a first pass without the experts", found: "0.5")
    },
    FolderRefusal(testDescription: "a tensor that nobody knows") {
      var folders = try xlora()
      folders[0].adapter.tensors["\(classifier).gain"] = try AdapterFixture.ones([2])
      return folders
    } error: {
      .unknownTensor(
        location: "\($0)/xlora/adapter_model.safetensors", tensor: "\(classifier).gain",
        expected: "tensors of X-LoRA for modules of this base")
    },
  ]

  static let polys: [FolderRefusal] = [
    FolderRefusal(testDescription: "no task") {
      var adapter = try poly()
      adapter.config["n_tasks"] = "3"
      return [("a", adapter)]
    } error: {
      .missingOption(location: "\($0)/a", option: "task", why: "the adapter was trained for 3 tasks, 0 to 2")
    },
    FolderRefusal(
      testDescription: "a task that it was not trained for", make: { [("a", try poly())] }, options: AdapterOptions(task: 1),
      error: {
        .malformedOption(
          location: "\($0)/a", option: "task", expected: "one of the adapter's 1 tasks, from 0", found: "1")
      }),
    FolderRefusal(testDescription: "splits that do not divide the sizes") {
      var adapter = try poly()
      adapter.config["n_splits"] = "4"
      return [("a", adapter)]
    } error: {
      .malformedOption(
        location: "\($0)/a/adapter_config.json", option: "n_splits",
        expected: "a divisor of [6, 4], as model.layers.0.self_attn.q_proj is", found: "4")
    },
    FolderRefusal(testDescription: "another number of skills") {
      var adapter = try poly()
      adapter.config["n_skills"] = "3"
      return [("a", adapter)]
    } error: {
      .wrongShape(
        location: "\($0)/a/adapter_model.safetensors", tensor: "\(query).poly_lora_A", expected: [1, 3, 4, 2],
        found: [1, 2, 4, 2])
    },
  ]

  static let lilies: [FolderRefusal] = [
    FolderRefusal(testDescription: "no router") {
      var adapter = try lily()
      adapter.tensors["\(query).lily_router.weight"] = nil
      return [("a", adapter)]
    } error: {
      .missingTensor(location: "\($0)/a/adapter_model.safetensors", tensor: "\(query).lily_router.weight")
    },
    FolderRefusal(testDescription: "another rank") {
      var adapter = try lily()
      adapter.config["r"] = "3"
      return [("a", adapter)]
    } error: {
      .wrongRank(
        location: "\($0)/a/adapter_model.safetensors", tensor: "\(query).lily_A.weight", expected: 3, found: 2)
    },
    FolderRefusal(testDescription: "another number of B") {
      var adapter = try lily()
      adapter.config["num_B"] = "2"
      return [("a", adapter)]
    } error: {
      .wrongShape(
        location: "\($0)/a/adapter_model.safetensors", tensor: "\(query).lily_B.weight", expected: [4, 6], found: [6, 6])
    },
  ]

  static let adaptives: [FolderRefusal] = [
    FolderRefusal(testDescription: "ranks that training took away and the file has") {
      var adapter = try adaLoRA()
      adapter.config["rank_pattern"] = "{\"model.layers.0.self_attn.q_proj.lora_E\": [true, false, true]}"
      return [("a", adapter)]
    } error: {
      .wrongRank(
        location: "\($0)/a/adapter_model.safetensors", tensor: "\(query).lora_A", expected: 2, found: 3)
    },
    FolderRefusal(testDescription: "a pattern of numbers") {
      var adapter = try adaLoRA()
      adapter.config["rank_pattern"] = "{\"model.layers.0.self_attn.q_proj.lora_E\": [1, 0, 1]}"
      return [("a", adapter)]
    } error: {
      .malformedOption(
        location: "\($0)/a/adapter_config.json", option: "rank_pattern",
        expected: "true or false for each rank of a module", found: "an array")
    },
    FolderRefusal(testDescription: "no diagonal") {
      var adapter = try adaLoRA()
      adapter.tensors["\(query).lora_E"] = nil
      return [("a", adapter)]
    } error: {
      .missingTensor(location: "\($0)/a/adapter_model.safetensors", tensor: "\(query).lora_E")
    },
    FolderRefusal(testDescription: "a diagonal of another shape") {
      var adapter = try adaLoRA()
      adapter.tensors["\(query).lora_E"] = try AdapterFixture.ones([3])
      return [("a", adapter)]
    } error: {
      .wrongShape(
        location: "\($0)/a/adapter_model.safetensors", tensor: "\(query).lora_E", expected: [3, 1], found: [3])
    },
    FolderRefusal(testDescription: "an option of LoRA that AdaLoRA does not have") {
      var adapter = try adaLoRA()
      adapter.config["use_dora"] = "true"
      return [("a", adapter)]
    } error: {
      .unsupportedOption(
        location: "\($0)/a/adapter_config.json", option: "use_dora", expected: "it absent or off", found: "true")
    },
  ]

  // What the cases break.

  private static func fixture(_ type: String, _ options: [String: String], _ tensors: [String: [Int]]) throws -> AdapterFixture
  {
    var fixture = try AdapterFixture()
    fixture.config = ["peft_type": "\"\(type)\"", "target_modules": "[\"q_proj\"]"].merging(options) { $1 }
    fixture.tensors = [:]
    for layer in 0..<2 {
      for (parameter, shape) in tensors {
        fixture.tensors["base_model.model.model.layers.\(layer).self_attn.q_proj.\(parameter)"] = try AdapterFixture.ones(shape)
      }
    }
    return fixture
  }

  private static func lora(rank: Int = 2) throws -> AdapterFixture {
    try fixture(
      "LORA", ["r": "\(rank)", "lora_alpha": "4"], ["lora_A.weight": [rank, 4], "lora_B.weight": [6, rank]])
  }

  private static func arrow(
    members: String = "\"task_adapter_names\": [\"task_0\", \"task_1\"], \"top_k\": 1, \"rng_seed\": 3"
  ) throws -> [(name: String, adapter: AdapterFixture)] {
    var router = try lora()
    router.config["arrow_config"] = "{\(members)}"
    return [("arrow_router", router), ("task_0", try lora()), ("task_1", try lora())]
  }

  private static func xlora() throws -> [(name: String, adapter: AdapterFixture)] {
    var gate = try fixture(
      "XLORA", ["hidden_size": "4", "adapters": "{\"0\": \"elsewhere\", \"1\": \"xlora/1\"}"], [:])
    gate.config["target_modules"] = nil
    gate.tensors = [
      "\(classifier).weight": try AdapterFixture.ones([2, 4]), "\(classifier).bias": try AdapterFixture.ones([2]),
    ]
    return [("xlora", gate), ("xlora/0", try lora()), ("xlora/1", try lora(rank: 3))]
  }

  private static func poly() throws -> AdapterFixture {
    try fixture(
      "POLY", ["r": "2", "n_tasks": "1", "n_skills": "2", "n_splits": "1"],
      ["poly_lora_A": [1, 2, 4, 2], "poly_lora_B": [1, 2, 2, 6], "poly_router.module_logits": [1, 2]])
  }

  private static func lily() throws -> AdapterFixture {
    try fixture(
      "LILY", ["r": "2", "num_B": "3"],
      ["lily_A.weight": [2, 4], "lily_B.weight": [6, 6], "lily_router.weight": [3, 2]])
  }

  private static func adaLoRA() throws -> AdapterFixture {
    try fixture("ADALORA", ["init_r": "3", "lora_alpha": "4"], ["lora_A": [3, 4], "lora_B": [6, 3], "lora_E": [3, 1]])
  }
}
