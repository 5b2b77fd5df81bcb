// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// Qwen 3 (Yang et al. 2025): Llama with a norm over every head of queries and keys.
enum Qwen3 {
  static let architecture = Architecture(
    modelTypes: ["qwen3"], ggufNames: ["qwen3"], names: names
  ) { fields throws(ModelError) in
    try validated(try ModelConfig(fields, "qwen3"), fields)
  }

  static let names: TensorNames = {
    var names = TensorNames.llama
    names.norms[.query] = "self_attn.q_norm"
    names.norms[.key] = "self_attn.k_norm"
    return names
  }()

  static func validated(
    _ config: ModelConfig, _ fields: ConfigFields, windows rule: (Int, Int) -> Bool = { $0 >= $1 }
  ) throws(ModelError) -> ModelConfig {
    try fields.require("hidden_act", "silu")
    var config = config
    config.queryKeyNorm = .head
    if config.biases != nil, try fields.bool("attention_bias", default: false) { config.biases = Llama.attentionMaps }
    try Qwen2.setWindows(&config, fields, rule: rule)
    return try config.validated(fields)
  }
}
