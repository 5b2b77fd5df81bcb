// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// OLMo 2 (OLMo Team 2025): norms on what attention and feed-forward write instead of what they read, and over the whole row of
/// queries and keys.
enum OLMo2 {
  static let architecture = Architecture(
    modelTypes: ["olmo2"], ggufNames: ["olmo2"], names: names
  ) { fields throws(ModelError) in
    try fields.require("hidden_act", "silu")
    var config = try ModelConfig(fields, "olmo2", epsilon: 1e-5)
    config.hasInputNorms = false
    config.hasOutputNorms = true
    config.queryKeyNorm = .row
    if config.biases != nil, try fields.bool("attention_bias", default: false) { config.biases = Llama.attentionMaps }
    return try config.validated(fields)
  }

  private static var names: TensorNames {
    var names = TensorNames.llama
    names.norms = [
      .attentionOutput: "post_attention_layernorm", .feedForwardOutput: "post_feedforward_layernorm",
      .query: "self_attn.q_norm", .key: "self_attn.k_norm",
    ]
    return names
  }
}
