// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// Gemma 3, text (Gemma Team 2025): Gemma 2 with norms over the heads of queries and keys instead of soft caps, five layers
/// with a window and a rotary table of their own for every one without. Of a model that reads images too, the text part.
enum Gemma3 {
  static let architecture = Architecture(
    modelTypes: ["gemma3_text", "gemma3"], ggufNames: ["gemma3"], names: names
  ) { fields throws(ModelError) in
    var fields = fields
    // A published `text_config` leaves out what has transformers' default.
    if fields.outer != nil {
      fields.fallbacks = [
        .headCount: 8, .keyValueHeadCount: 4, .headDimension: 256, .vocabularySize: 262_208, .contextLength: 131_072,
      ]
    }
    var config = try Gemma.configure(fields, "gemma3_text")
    config.hasOutputNorms = true
    config.queryKeyNorm = .head
    config.attentionSoftcap = Float(try fields.number(.attentionSoftcap, default: 0))
    config.logitSoftcap = Float(try fields.number(.logitSoftcap, default: 0))
    config.attentionScale = try Gemma2.scale(fields, config, largest: 62)
    if try fields.bool("use_bidirectional_attention", default: false) {
      throw .unsupported(
        location: fields.location, field: "use_bidirectional_attention", expected: "false", found: "true")
    }
    let window = try fields.integer(
      .slidingWindow, default: fields.gguf == nil && !fields.isNull(.slidingWindow) ? 4096 : 0)
    let pattern = try fields.integer(.slidingPattern, default: 6)
    let sliding = try ModelConfig.slidingLayers(fields, count: config.layerCount)
    config.rotaries = [
      try table(fields, config, "full_attention", .ropeTheta, 1_000_000),
      try table(fields, config, "sliding_attention", .localRopeTheta, 10_000),
    ]
    for layer in config.layers.indices where sliding?[layer] ?? (pattern > 0 && (layer + 1) % pattern != 0) {
      config.layers[layer].window = window
      config.layers[layer].rotary = 1
    }
    return try config.validated(fields)
  }

  private static var names: TensorNames {
    var names = Gemma2.names
    names.norms[.query] = "self_attn.q_norm"
    names.norms[.key] = "self_attn.k_norm"
    // The larger models are published with a tower for images around them.
    names.otherRoots = ["language_model.model.", "model.language_model.", ""]
    names.otherParts = ["vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."]
    return names
  }

  /// transformers 5 has an object per kind of layer in `rope_parameters`; before, `rope_scaling` was of full attention only.
  private static func table(
    _ fields: ConfigFields, _ config: ModelConfig, _ type: String, _ key: ConfigKey, _ theta: Double
  ) throws(ModelError) -> RotaryConfig {
    let nested = fields.json?["rope_parameters"]?[type]
    let isScaled = nested != nil || type == "full_attention"
    return RotaryConfig(
      dimension: config.headDimension, theta: try fields.number(key, default: nested?["rope_theta"]?.double ?? theta),
      scaling: isScaled
        ? try RopeScaling(fields, dimension: config.headDimension, context: config.contextLength, layerType: type) : .none)
  }
}
