// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// Granite 3 (IBM 2024): Llama with four multipliers: of the embedding, of the scores, of what is added, and a divisor of the
/// logits.
enum Granite {
  static let architecture = Architecture(
    modelTypes: ["granite"], ggufNames: ["granite"], interleavesHeads: true
  ) { fields throws(ModelError) in
    try fields.require("hidden_act", "silu")
    var config = try ModelConfig(fields, "granite")
    config.embeddingScale = Float(try fields.number(.embeddingScale, default: 1))
    config.promptScale = config.embeddingScale
    config.residualScale = Float(try fields.number(.residualScale, default: 1))
    config.attentionScale = Float(try fields.number(.attentionScale, default: Double(config.attentionScale)))
    let divisor = try fields.number(.logitScale, default: 1)
    guard divisor != 0 else { throw fields.invalid(.logitScale, "a number other than 0", "0") }
    config.logitScale = Float(1 / divisor)
    if config.biases != nil {
      if try fields.bool("attention_bias", default: false) { config.biases?.formUnion(Llama.attentionMaps) }
      if try fields.bool("mlp_bias", default: false) { config.biases?.formUnion(Llama.feedForwardMaps) }
    }
    return try config.validated(fields)
  }
}
