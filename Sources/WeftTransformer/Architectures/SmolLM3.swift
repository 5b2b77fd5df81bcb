// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// SmolLM3 (Hugging Face 2025): Llama in which every fourth layer knows no positions (NoPE).
enum SmolLM3 {
  static let architecture = Architecture(
    modelTypes: ["smollm3"], ggufNames: ["smollm3"], interleavesHeads: true
  ) { fields throws(ModelError) in
    try fields.require("hidden_act", "silu")
    var config = try ModelConfig(fields, "smollm3")
    if config.biases != nil {
      config.tieWordEmbeddings = try fields.bool("tie_word_embeddings", default: true)
      if try fields.bool("attention_bias", default: false) { config.biases?.formUnion(Llama.attentionMaps) }
      if try fields.bool("mlp_bias", default: false) { config.biases?.formUnion(Llama.feedForwardMaps) }
    }
    let interval = try fields.integer(ConfigKey("no_rope_layer_interval", ""), default: 4)
    let key = ConfigKey("no_rope_layers", "")
    // 1 for a layer with positions, 0 for one without.
    let rotated = try fields.perLayer(key, layers: config.layerCount)
    for layer in config.layers.indices
    where rotated.map({ $0[layer] == 0 }) ?? (interval > 0 && (layer + 1) % interval == 0) {
      config.layers[layer].rotary = nil
    }
    let hasPositions = config.layers.map { $0.rotary != nil }
    try Qwen2.setWindows(&config, fields) { layer, _ in !hasPositions[layer] }
    return try config.validated(fields)
  }
}
