// SPDX-License-Identifier: Apache-2.0

import WeftTensors

extension AdapterFixture {
  /// Where tensors of a module of layer `layer` begin.
  static func path(_ layer: Int, _ module: String) -> String { "base_model.model.model.layers.\(layer).\(module)" }

  /// Becomes a right adapter of another family, on q_proj of both layers of `base` where the family has modules.
  mutating func become(_ type: String, _ options: [String: String] = [:]) throws {
    config = ["peft_type": "\"\(type)\"", "target_modules": "[\"q_proj\"]", "peft_version": "\"0.21.2\""]
    tensors = [:]
    switch type {
    case "IA3":
      config["target_modules"] = "[\"q_proj\", \"down_proj\"]"
      config["feedforward_modules"] = "[\"down_proj\"]"
      try add("self_attn.q_proj.ia3_l", [6, 1])
      try add("mlp.down_proj.ia3_l", [1, 5])
    case "OFT":
      config["oft_block_size"] = "2"
      try add("self_attn.q_proj.oft_R.weight", [2, 1])
    case "BOFT":
      config["boft_block_size"] = "2"
      try add("self_attn.q_proj.boft_R", [1, 2, 2, 2])
      try add("self_attn.q_proj.boft_s", [6, 1])
    case "HRA":
      config["r"] = "1"
      try add("self_attn.q_proj.hra_u", [4, 1])
    case "ROAD":
      config["group_size"] = "2"
      try add("self_attn.q_proj.road_theta", [3])
      try add("self_attn.q_proj.road_alpha", [3])
    case "LN_TUNING":
      config["target_modules"] = "[\"input_layernorm\"]"
      try add("input_layernorm.ln_tuning_layers.weight", [4])
    case "BEFT": try add("self_attn.q_proj.beft_bias", [1, 6])
    case "TRAINABLE_TOKENS":
      config["target_modules"] = "[\"embed_tokens\"]"
      config["token_indices"] = "[3, 0]"
      tensors["base_model.model.model.embed_tokens.trainable_tokens_delta"] = try AdapterFixture.ones([2, 4])
    case "ADAPTION_PROMPT":
      config["target_modules"] = "\"self_attn\""
      config["adapter_len"] = "3"
      config["adapter_layers"] = "2"
      try add("self_attn.adaption_prompt", [1, 3, 4])
      try add("self_attn.adaption_gate", [1])
    default:
      config["target_modules"] = nil
      config["num_virtual_tokens"] = "3"
      config["token_dim"] = "4"
      config["num_transformer_submodules"] = "1"
      config["num_layers"] = "2"
      tensors["prompt_embeddings"] = try AdapterFixture.ones([3, 4])
      if type == "MULTITASK_PROMPT_TUNING" {
        config["num_tasks"] = "2"
        config["num_ranks"] = "1"
        tensors["prefix_task_cols"] = try AdapterFixture.ones([2, 3, 1])
        tensors["prefix_task_rows"] = try AdapterFixture.ones([2, 1, 4])
      }
      if ["PREFIX_TUNING", "CARTRIDGE"].contains(type) {
        config["token_dim"] = "3"
        config["num_attention_heads"] = "3"
        tensors["prompt_embeddings"] = try AdapterFixture.ones([3, 12])
      }
    }
    for (option, value) in options { config[option] = value }
  }

  /// Adds a tensor of ones to both layers.
  mutating func add(_ parameter: String, _ shape: [Int]) throws {
    for layer in 0..<2 { tensors[AdapterFixture.path(layer, parameter)] = try AdapterFixture.ones(shape) }
  }
}
