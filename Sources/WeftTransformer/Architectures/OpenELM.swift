// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// OpenELM (Mehta et al. 2024): layers of different widths, norms over the heads of queries and keys, fused projections.
enum OpenELM {
  static let architecture = Architecture(
    modelTypes: ["openelm"], ggufNames: ["openelm"], names: names
  ) { fields throws(ModelError) in
    try fields.require("activation_fn_name", "swish")
    try fields.require("normalization_layer_name", "rms_norm")
    if try !fields.bool("ffn_with_glu", default: true) {
      throw .unsupported(location: fields.location, field: "ffn_with_glu", expected: "true", found: "false")
    }
    var fields = fields
    fields.spellings = [
      .hiddenSize: "model_dim", .layerCount: "num_transformer_layers", .headCount: "num_query_heads",
      .keyValueHeadCount: "num_kv_heads", .contextLength: "max_context_length", .ropeTheta: "rope_freq_constant",
    ]
    if fields.gguf == nil { fields.fallbacks[.intermediateSize] = 1 }
    var config = try ModelConfig(fields, "openelm")
    config.queryKeyNorm = try fields.bool("normalize_qk_projections", default: true) ? .head : .none
    if config.biases != nil {
      config.tieWordEmbeddings = try fields.bool("share_input_output_layers", default: true)
      try setWidths(&config, fields)
    }
    return try config.validated(fields)
  }

  /// Width of layer i = `ffn_multipliers`[i] times the model's, rounded to the nearest multiple of `ffn_dim_divisor` that is not
  /// below nine tenths of it.
  private static func setWidths(_ config: inout ModelConfig, _ fields: ConfigFields) throws(ModelError) {
    let key = ConfigKey("ffn_multipliers", "")
    let divisor = try fields.integer(ConfigKey("ffn_dim_divisor", ""), default: 256)
    guard divisor >= 1 else { throw fields.invalid(ConfigKey("ffn_dim_divisor", ""), "1 or more", "\(divisor)") }
    let list = fields.json?["ffn_multipliers"]
    let multipliers =
      list?.double.map { Array(repeating: $0, count: config.layerCount) } ?? list?.array?.compactMap(\.double) ?? []
    guard multipliers.count == config.layerCount, multipliers.allSatisfy({ $0 > 0 && $0 < 1024 }) else {
      throw fields.invalid(key, "\(config.layerCount) positive numbers", list?.kind ?? "none")
    }
    for (layer, multiplier) in multipliers.enumerated() {
      let wanted = multiplier * Double(config.hiddenSize)
      var width = max(divisor, Int(wanted + Double(divisor) / 2) / divisor * divisor)
      if Double(width) < 0.9 * wanted { width += divisor }
      config.layers[layer].intermediateSize = width
    }
  }

  private static let names = TensorNames(
    root: "transformer.", embedding: "token_embeddings", outputNorm: "norm", outputHead: "lm_head", layers: "layers",
    norms: [
      .attentionInput: "attn_norm", .feedForwardInput: "ffn_norm", .query: "attn.q_norm", .key: "attn.k_norm",
    ],
    linears: [
      LinearName("attn.qkv_proj", .query, .key, .value), LinearName("attn.out_proj", .output),
      LinearName("ffn.proj_1", .gate, .up), LinearName("ffn.proj_2", .down),
    ])
}
