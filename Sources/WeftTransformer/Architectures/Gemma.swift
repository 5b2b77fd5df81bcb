// SPDX-License-Identifier: Apache-2.0

/// Gemma 1 (Gemma Team 2024): a scaled embedding, norm weights counted from 1, a GELU gate.
enum Gemma {
  static let architecture = Architecture(modelTypes: ["gemma"], ggufNames: ["gemma"]) { fields throws(ModelError) in
    try configure(fields, "gemma").validated(fields)
  }

  /// What all generations share.
  static func configure(_ fields: ConfigFields, _ name: String) throws(ModelError) -> ModelConfig {
    // Early files say "gelu" in hidden_act; transformers has always computed the tanh approximation.
    try fields.require("hidden_activation", "gelu_pytorch_tanh")
    try fields.require("hidden_act", "gelu_pytorch_tanh", "gelu")
    var config = try ModelConfig(fields, name)
    config.embeddingScale = Float(config.hiddenSize).squareRoot()
    config.normOffset = 1
    config.activation = .geglu
    if config.biases != nil {
      config.tieWordEmbeddings = try fields.bool("tie_word_embeddings", default: true)
      if try fields.bool("attention_bias", default: false) { config.biases = Llama.attentionMaps }
    }
    return config
  }
}
