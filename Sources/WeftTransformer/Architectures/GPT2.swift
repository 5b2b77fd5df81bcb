// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// GPT-2 (Radford et al. 2019): learned positions, LayerNorm, biases everywhere, a GELU feed-forward without a gate, fused
/// queries, keys and values. Its Conv1D modules store [in, out].
enum GPT2 {
  static let architecture = Architecture(
    modelTypes: ["gpt2"], ggufNames: ["gpt2"], names: names
  ) { fields throws(ModelError) in
    try fields.require("activation_function", "gelu_new", "gelu_pytorch_tanh")
    for (field, usual) in [("scale_attn_weights", true), ("scale_attn_by_inverse_layer_idx", false)]
    where try fields.bool(field, default: usual) != usual {
      throw .unsupported(location: fields.location, field: field, expected: "\(usual)", found: "\(!usual)")
    }
    var fields = fields
    fields.spellings = [
      .hiddenSize: "n_embd", .layerCount: "n_layer", .headCount: "n_head", .contextLength: "n_positions",
      .intermediateSize: "n_inner",
    ]
    // n_inner is null in the published models.
    fields.fallbacks[.intermediateSize] = 4 * (try fields.integer(.hiddenSize))
    var config = try ModelConfig(fields, "gpt2")
    config.norm = .layer
    config.normEpsilon = Float(try fields.number(.layerNormEpsilon, default: 1e-5))
    config.activation = .gelu
    config.rotaries = []
    config.positionRows = config.contextLength
    for layer in config.layers.indices { config.layers[layer].rotary = nil }
    if config.biases != nil {
      config.biases = [.query, .key, .value, .output, .up, .down]
      config.tieWordEmbeddings = try fields.bool("tie_word_embeddings", default: true)
    }
    return try config.validated(fields)
  }

  private static let names = TensorNames(
    root: "transformer.", embedding: "wte", positionEmbedding: "wpe", outputNorm: "ln_f", outputHead: "lm_head", layers: "h",
    norms: [.attentionInput: "ln_1", .feedForwardInput: "ln_2"],
    linears: [
      LinearName("attn.c_attn", .query, .key, .value, isTransposed: true),
      LinearName("attn.c_proj", .output, isTransposed: true), LinearName("mlp.c_fc", .up, isTransposed: true),
      LinearName("mlp.c_proj", .down, isTransposed: true),
    ],
    // Causal masks.
    buffers: [".attn.bias", ".attn.masked_bias"])
}
