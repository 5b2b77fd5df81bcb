// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// Qwen 1.5 MoE and Qwen 2 MoE (Yang et al. 2024): Qwen 2 with many small experts, beside one that every token uses, weighted by
/// a sigmoid.
enum Qwen2MoE {
  static let architecture = Architecture(
    modelTypes: ["qwen2_moe"], ggufNames: ["qwen2moe"], names: names
  ) { fields throws(ModelError) in
    try fields.require("hidden_act", "silu")
    var config = try ModelConfig(fields, "qwen2_moe")
    if config.biases != nil { config.biases = try fields.bool("qkv_bias", default: true) ? [.query, .key, .value] : [] }
    try Qwen2.setWindows(&config, fields) { layer, limit in layer % 2 == 0 && layer < limit }
    // GGUF leaves the width of an expert to its tensors.
    let width = fields.columns(of: "blk.0.ffn_down_exps.weight")
    let shared = fields.columns(of: "blk.0.ffn_down_shexp.weight")
    try setExperts(
      &config, fields, width: width, shared: try fields.integer(.sharedIntermediateSize, default: shared ?? 0),
      normalizes: false)
    return try config.validated(fields)
  }

  static let names: TensorNames = {
    var names = TensorNames.llama
    names.linears += [
      LinearName("mlp.gate", .router),
      LinearName("mlp.shared_expert.gate_proj", .sharedGate), LinearName("mlp.shared_expert.up_proj", .sharedUp),
      LinearName("mlp.shared_expert.down_proj", .sharedDown), LinearName("mlp.shared_expert_gate", .sharedExpertGate),
      LinearName("mlp.experts.*.gate_proj", .gate, experts: .each), LinearName("mlp.experts.*.up_proj", .up, experts: .each),
      LinearName("mlp.experts.*.down_proj", .down, experts: .each),
      LinearName("mlp.experts.gate_up_proj", .gate, .up, experts: .stacked),
      LinearName("mlp.experts.down_proj", .down, experts: .stacked),
    ]
    return names
  }()

  /// Experts in every `decoder_sparse_step`-th layer that `mlp_only_layers` does not name; in every layer of GGUF.
  static func setExperts(
    _ config: inout ModelConfig, _ fields: ConfigFields, width: Int?, shared: Int, normalizes: Bool
  ) throws(ModelError) {
    config.experts = ExpertConfig(
      count: try fields.integer(.expertCount), usedCount: try fields.integer(.usedExpertCount),
      intermediateSize: try fields.integer(.expertIntermediateSize, default: width), sharedIntermediateSize: shared,
      normalizesWeights: try fields.bool("norm_topk_prob", default: normalizes))
    let step = try fields.integer(ConfigKey("decoder_sparse_step", ""), default: 1)
    guard step >= 1 else { throw fields.invalid(ConfigKey("decoder_sparse_step", ""), "1 or more", "\(step)") }
    let dense = Set(fields.json?["mlp_only_layers"]?.array?.compactMap(\.int) ?? [])
    for layer in config.layers.indices where !dense.contains(layer) && (layer + 1) % step == 0 {
      config.layers[layer].isSparse = true
      config.layers[layer].intermediateSize = shared
    }
  }
}
