// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// Gemma 2 (Gemma Team 2024): Gemma with norms on what is added too, soft caps on scores and logits, and a window in every
/// other layer.
enum Gemma2 {
  static let architecture = Architecture(
    modelTypes: ["gemma2"], ggufNames: ["gemma2"], names: names
  ) { fields throws(ModelError) in
    var config = try Gemma.configure(fields, "gemma2")
    config.hasOutputNorms = true
    config.attentionSoftcap = Float(try fields.number(.attentionSoftcap, default: fields.isNull(.attentionSoftcap) ? 0 : 50))
    config.logitSoftcap = Float(try fields.number(.logitSoftcap, default: fields.isNull(.logitSoftcap) ? 0 : 30))
    config.attentionScale = try scale(fields, config, largest: 46)
    let window = try fields.integer(.slidingWindow, default: fields.isNull(.slidingWindow) ? 0 : 4096)
    let sliding = try ModelConfig.slidingLayers(fields, count: config.layerCount)
    for layer in config.layers.indices where sliding?[layer] ?? (layer % 2 == 0) { config.layers[layer].window = window }
    return try config.validated(fields)
  }

  static let names: TensorNames = {
    var names = TensorNames.llama
    names.norms = [
      .attentionInput: "input_layernorm", .attentionOutput: "post_attention_layernorm",
      .feedForwardInput: "pre_feedforward_layernorm", .feedForwardOutput: "post_feedforward_layernorm",
    ]
    return names
  }()

  /// 1 / sqrt(`query_pre_attn_scalar`). GGUF has no such field: the largest model of a generation uses the width per head,
  /// all others the head dimension, and llama.cpp tells it by its number of layers.
  static func scale(_ fields: ConfigFields, _ config: ModelConfig, largest layers: Int) throws(ModelError) -> Float {
    var scalar = Double(config.headDimension)
    if fields.gguf == nil {
      scalar = try fields.number(ConfigKey("query_pre_attn_scalar", ""), default: 256)
    } else if config.layerCount == layers {
      scalar = Double(config.hiddenSize / config.headCount)
    }
    guard scalar > 0 else { throw fields.invalid(ConfigKey("query_pre_attn_scalar", ""), "a positive number", "\(scalar)") }
    return Float(1 / scalar.squareRoot())
  }
}
