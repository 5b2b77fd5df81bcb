// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// Mixtral (Jiang et al. 2024): Mistral whose feed-forward layers choose two of eight experts. GGUF calls it "llama", with
/// experts.
enum Mixtral {
  static let architecture = Architecture(
    modelTypes: ["mixtral"], ggufNames: ["llama"], names: names, interleavesHeads: true,
    claims: { fields in fields.gguf.map { $0.metadata["llama.expert_count"]?.int ?? 0 > 0 } ?? true },
    configure: configure)

  private static var names: TensorNames {
    var names = TensorNames.llama
    names.linears =
      TensorNames.attention + [
        LinearName("block_sparse_moe.gate", .router), LinearName("mlp.gate", .router),
        LinearName("block_sparse_moe.experts.*.w1", .gate, experts: .each),
        LinearName("block_sparse_moe.experts.*.w3", .up, experts: .each),
        LinearName("block_sparse_moe.experts.*.w2", .down, experts: .each),
        LinearName("mlp.experts.gate_up_proj", .gate, .up, experts: .stacked),
        LinearName("mlp.experts.down_proj", .down, experts: .stacked),
      ]
    return names
  }

  static func configure(_ fields: ConfigFields) throws(ModelError) -> ModelConfig {
    try fields.require("hidden_act", "silu")
    var fields = fields
    fields.spellings[.expertCount] = "num_local_experts"
    var config = try ModelConfig(fields, "mixtral", epsilon: 1e-5)
    let window = try fields.integer(.slidingWindow, default: 0)
    let width = config.intermediateSize
    config.experts = ExpertConfig(
      count: try fields.integer(.expertCount), usedCount: try fields.integer(.usedExpertCount), intermediateSize: width,
      normalizesWeights: true)
    for layer in config.layers.indices {
      config.layers[layer].window = window
      config.layers[layer].isSparse = true
      config.layers[layer].intermediateSize = 0
    }
    return try config.validated(fields)
  }
}
