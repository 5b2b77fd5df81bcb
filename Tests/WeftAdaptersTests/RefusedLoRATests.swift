// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

/// Wrong inputs of LoRA's options, at least three for each.
struct RefusedLoRATests {
  static let query = "base_model.model.model.layers.0.self_attn.q_proj"
  static let embedding = "base_model.model.model.embed_tokens"
  static let head = "base_model.model.lm_head"

  @Test(arguments: dora + residuals + biases + blocks) func modules(_ refusal: Refusal) throws {
    try refusal.check(values: AdapterFixture.values())
  }

  @Test(arguments: embeddings + replacements + tokens + invocations + layers) func others(_ refusal: Refusal) throws {
    try refusal.check(values: AdapterFixture.values())
  }

  /// What depends on the base's weights cannot be read for a shape alone.
  @Test(arguments: ["use_dora": "true", "init_lora_weights": "\"pissa\"", "kasa_config": "{\"beta\": 1}"])
  func needsWeights(option: String, value: String) throws {
    try Refusal(option) {
      $0.config[option] = value
      try $0.addToBoth("lora_magnitude_vector", [6])
      try $0.addToBoth("lora_diag", [2])
    } error: { _, tensors in
      .needsBaseWeights(location: tensors)
    }.check()
  }

  static let dora = [
    Refusal("DoRA without a magnitude") {
      $0.config["use_dora"] = "true"
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "\(query).lora_magnitude_vector")
    },
    Refusal("a magnitude for another output size") {
      $0.config["use_dora"] = "true"
      try $0.addToBoth("lora_magnitude_vector", [4])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "\(query).lora_magnitude_vector", expected: [6], found: [4])
    },
    Refusal("a magnitude in both spellings") {
      $0.config["use_dora"] = "true"
      try $0.addToBoth("lora_magnitude_vector", [6])
      try $0.addToBoth("lora_magnitude_vector.weight", [6])
    } error: { _, tensors in
      .duplicateTensor(
        location: tensors, tensor: "\(query).lora_magnitude_vector", other: "\(query).lora_magnitude_vector.weight")
    },
    Refusal("DoRA and aLoRA") {
      $0.config["use_dora"] = "true"
      $0.config["alora_invocation_tokens"] = "[1]"
    } error: { config, _ in
      .unsupportedOption(
        location: config, option: "alora_invocation_tokens", expected: "it off beside use_dora", found: "an array")
    },
    Refusal("DoRA and a bias of B") {
      $0.config["use_dora"] = "true"
      $0.config["lora_bias"] = "true"
    } error: { config, _ in
      .unsupportedOption(location: config, option: "use_dora", expected: "it off beside lora_bias", found: "true")
    },
  ]

  static let residuals = [
    Refusal("KaSA without its diagonal") {
      $0.config["kasa_config"] = "{\"beta\": 1}"
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "\(query).lora_diag")
    },
    Refusal("a diagonal of another rank") {
      $0.config["kasa_config"] = "{\"beta\": 1}"
      try $0.addToBoth("lora_diag", [3])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "\(query).lora_diag", expected: [2], found: [3])
    },
    Refusal("KaSA and PiSSA") {
      $0.config["kasa_config"] = "{\"beta\": 1}"
      $0.config["init_lora_weights"] = "\"pissa\""
    } error: { config, _ in
      .unsupportedOption(
        location: config, option: "init_lora_weights", expected: "true beside kasa_config", found: "\"pissa\"")
    },
    Refusal("KaSA that is no object") {
      $0.config["kasa_config"] = "7"
    } error: { config, _ in
      .malformedOption(location: config, option: "kasa_config", expected: "an object", found: "7")
    },
  ]

  static let biases = [
    Refusal("no bias of B") {
      $0.config["lora_bias"] = "true"
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "\(query).lora_B.bias")
    },
    Refusal("a bias of B for another output size") {
      $0.config["lora_bias"] = "true"
      try $0.addToBoth("lora_B.bias", [2])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "\(query).lora_B.bias", expected: [6], found: [2])
    },
    Refusal("a bias of a module that is not adapted") {
      $0.config["bias"] = "\"lora_only\""
      $0.tensors["base_model.model.model.layers.0.mlp.up_proj.bias"] = try AdapterFixture.ones([5])
    } error: { _, tensors in
      .unusedTensor(location: tensors, tensor: "base_model.model.model.layers.0.mlp.up_proj.bias")
    },
    Refusal("a bias of another size") {
      $0.config["bias"] = "\"all\""
      $0.tensors["\(query).base_layer.bias"] = try AdapterFixture.ones([5])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "\(query).base_layer.bias", expected: [6], found: [5])
    },
    Refusal("a bias in two spellings") {
      $0.config["bias"] = "\"all\""
      $0.tensors["\(query).base_layer.bias"] = try AdapterFixture.ones([6])
      $0.tensors["\(query).bias"] = try AdapterFixture.ones([6])
    } error: { _, tensors in
      .duplicateTensor(location: tensors, tensor: "\(query).base_layer.bias", other: "\(query).bias")
    },
  ]

  static let blocks = [
    Refusal("blocks of A that are not in blocks") {
      $0.config["use_bdlora"] = "{\"nblocks\": 2, \"target_modules_bd_a\": [\"q_proj\"]}"
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "\(query).lora_A.weight", expected: [2, 2], found: [2, 4])
    },
    Refusal("blocks that do not divide the output") {
      $0.config["use_bdlora"] = "{\"nblocks\": 4, \"target_modules_bd_b\": [\"q\"], \"match_strict\": true}"
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "\(query).lora_B.weight", expected: [6, 0], found: [6, 2])
    },
    Refusal("no number of blocks") {
      $0.config["use_bdlora"] = "{\"nblocks\": 0}"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "use_bdlora.nblocks", expected: "a number of at least 1", found: "an object")
    },
    Refusal("a module in no list") {
      $0.config["use_bdlora"] = "{\"nblocks\": 2}"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "use_bdlora", expected: "A, or B, of model.layers.0.self_attn.q_proj in blocks",
        found: "neither")
    },
    Refusal("an unknown member") {
      $0.config["use_bdlora"] = "{\"nblocks\": 2, \"shift\": 1}"
    } error: { config, _ in
      .unknownOption(location: config, option: "use_bdlora.shift", found: "1")
    },
  ]

  static let embeddings = [
    Refusal("a targeted embedding without tensors") {
      $0.config["target_modules"] = "[\"q_proj\", \"embed_tokens\"]"
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "\(embedding).lora_embedding_A")
    },
    Refusal("A of an embedding without B") {
      $0.config["target_modules"] = "[\"q_proj\", \"embed_tokens\"]"
      $0.tensors["\(embedding).lora_embedding_A"] = try AdapterFixture.ones([2, 7])
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "\(embedding).lora_embedding_B")
    },
    Refusal("another vocabulary") {
      $0.config["target_modules"] = "[\"q_proj\", \"embed_tokens\"]"
      $0.tensors["\(embedding).lora_embedding_A"] = try AdapterFixture.ones([2, 8])
      $0.tensors["\(embedding).lora_embedding_B"] = try AdapterFixture.ones([4, 2])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "\(embedding).lora_embedding_A", expected: [2, 7], found: [2, 8])
    },
    Refusal("another rank") {
      $0.config["target_modules"] = "[\"q_proj\", \"embed_tokens\"]"
      $0.tensors["\(embedding).lora_embedding_A"] = try AdapterFixture.ones([2, 7])
      $0.tensors["\(embedding).lora_embedding_B"] = try AdapterFixture.ones([4, 3])
    } error: { _, tensors in
      .wrongRank(location: tensors, tensor: "\(embedding).lora_embedding_B", expected: 2, found: 3)
    },
    Refusal("the base's embedding of another size") {
      $0.tensors["\(embedding).base_layer.weight"] = try AdapterFixture.ones([8, 4])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "\(embedding).base_layer.weight", expected: [7, 4], found: [8, 4])
    },
  ]

  static let replacements = [
    Refusal("a replaced module without its tensor") {
      $0.config["modules_to_save"] = "[\"lm_head\"]"
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "\(head).weight")
    },
    Refusal("a replaced module that the base does not have") {
      $0.config["modules_to_save"] = "[\"score\"]"
    } error: { config, _ in
      .malformedOption(location: config, option: "modules_to_save", expected: "modules of this base", found: "'score'")
    },
    Refusal("a replaced norm of another size") {
      $0.config["modules_to_save"] = "[\"model.norm\"]"
      $0.tensors["base_model.model.model.norm.weight"] = try AdapterFixture.ones([5])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: "base_model.model.model.norm.weight", expected: [4], found: [5])
    },
    Refusal("a replaced weight, transposed") {
      $0.config["modules_to_save"] = "[\"0.mlp.down_proj\"]"
      $0.tensors["base_model.model.model.layers.0.mlp.down_proj.weight"] = try AdapterFixture.ones([5, 4])
    } error: { _, tensors in
      .wrongShape(
        location: tensors, tensor: "base_model.model.model.layers.0.mlp.down_proj.weight", expected: [4, 5], found: [5, 4])
    },
    Refusal("a module that is both replaced and adapted") {
      $0.config["modules_to_save"] = "[\"q_proj\"]"
      for layer in 0..<2 {
        $0.tensors["base_model.model.model.layers.\(layer).self_attn.q_proj.weight"] = try AdapterFixture.ones([6, 4])
      }
    } error: { _, tensors in
      .unusedTensor(location: tensors, tensor: "\(query).lora_A.weight")
    },
  ]

  static let tokens = [
    Refusal("rows without their tensor") {
      $0.config["trainable_token_indices"] = "[3]"
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "\(embedding).token_adapter.trainable_tokens_delta")
    },
    Refusal("a row beyond the vocabulary") {
      $0.config["trainable_token_indices"] = "[3, 7]"
      $0.tensors["\(embedding).token_adapter.trainable_tokens_delta"] = try AdapterFixture.ones([2, 4])
    } error: { config, _ in
      .malformedOption(location: config, option: "trainable_token_indices", expected: "rows below 7", found: "7")
    },
    Refusal("a row twice") {
      $0.config["trainable_token_indices"] = "[3, 3]"
      $0.tensors["\(embedding).token_adapter.trainable_tokens_delta"] = try AdapterFixture.ones([2, 4])
    } error: { config, _ in
      .malformedOption(location: config, option: "trainable_token_indices", expected: "every row once", found: "a row twice")
    },
    Refusal("another number of rows") {
      $0.config["trainable_token_indices"] = "[3]"
      $0.tensors["\(embedding).token_adapter.trainable_tokens_delta"] = try AdapterFixture.ones([2, 4])
    } error: { _, tensors in
      .wrongShape(
        location: tensors, tensor: "\(embedding).token_adapter.trainable_tokens_delta", expected: [1, 4], found: [2, 4])
    },
    Refusal("rows of a linear module") {
      $0.config["trainable_token_indices"] = "{\"q_proj\": [3]}"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "trainable_token_indices", expected: "the embedding or the head of this base",
        found: "'q_proj'")
    },
  ]

  static let invocations = [
    Refusal("an invocation that is no token") {
      $0.config["alora_invocation_tokens"] = "[5, -1]"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "alora_invocation_tokens", expected: "tokens of the vocabulary", found: "an array")
    },
    Refusal("an invocation in words") {
      $0.config["alora_invocation_tokens"] = "[\"hello\"]"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "alora_invocation_tokens", expected: "an integer or an array of integers", found: "\"hello\"")
    },
    Refusal("an invocation and a replaced module") {
      $0.config["alora_invocation_tokens"] = "[5]"
      $0.config["modules_to_save"] = "[\"lm_head\"]"
    } error: { config, _ in
      .unsupportedOption(
        location: config, option: "modules_to_save", expected: "it off beside alora_invocation_tokens", found: "an array")
    },
  ]

  static let layers = [
    Refusal("repeated layers on another base") {
      $0.config["layer_replication"] = "[[0, 2], [1, 2]]"
    } error: { config, _ in
      .unsupportedOption(
        location: config, option: "layer_replication",
        expected: "a base with the same layers: --layers 0-1,1", found: "0-1,1")
    },
    Refusal("a run of layers that is empty") {
      $0.config["layer_replication"] = "[[0, 2], [1, 1]]"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "layer_replication",
        expected: "an array of pairs: the first layer of a run and the one behind its last", found: "an array")
    },
    Refusal("no pairs of layers") {
      $0.config["layer_replication"] = "[2]"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "layer_replication",
        expected: "an array of pairs: the first layer of a run and the one behind its last", found: "2")
    },
  ]
}

extension AdapterFixture {
  /// Adds a tensor of ones to q_proj of both layers.
  fileprivate mutating func addToBoth(_ parameter: String, _ shape: [Int]) throws {
    for layer in 0..<2 {
      tensors["base_model.model.model.layers.\(layer).self_attn.q_proj.\(parameter)"] = try AdapterFixture.ones(shape)
    }
  }
}
