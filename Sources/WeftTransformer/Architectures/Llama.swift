// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// Llama 1 to 3.2 (Touvron et al. 2023) and what shares its graph: TinyLlama, SmolLM2, Yi, Vicuna.
///
/// h += W_o attention(rope(W_q n), rope(W_k n), W_v n) with n = norm(h), then h += W_down (silu(W_gate m) * (W_up m)) with
/// m = norm(h).
enum Llama {
  static let architecture = Architecture(
    modelTypes: ["llama"], ggufNames: ["llama"], interleavesHeads: true, configure: configure)

  static let attentionMaps: Set<Projection> = [.query, .key, .value, .output]
  static let feedForwardMaps: Set<Projection> = [.gate, .up, .down]

  static func configure(_ fields: ConfigFields) throws(ModelError) -> ModelConfig {
    try fields.require("hidden_act", "silu")
    var config = try ModelConfig(fields, "llama", epsilon: fields.gguf == nil ? 1e-6 : 1e-5)
    if config.biases != nil {
      if try fields.bool("attention_bias", default: false) { config.biases?.formUnion(attentionMaps) }
      if try fields.bool("mlp_bias", default: false) { config.biases?.formUnion(feedForwardMaps) }
    }
    return try config.validated(fields)
  }
}
