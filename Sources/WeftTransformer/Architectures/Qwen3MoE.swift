// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// Qwen 3 MoE (Yang et al. 2025): Qwen 3 whose feed-forward layers choose some of many small experts.
enum Qwen3MoE {
  static let architecture = Architecture(
    modelTypes: ["qwen3_moe"], ggufNames: ["qwen3moe"], names: names
  ) { fields throws(ModelError) in
    var fields = fields
    // transformers 5 writes the name that Mixtral has.
    if fields.json?["num_local_experts"] != nil { fields.spellings[.expertCount] = "num_local_experts" }
    var config = try ModelConfig(fields, "qwen3_moe")
    let width = fields.columns(of: "blk.0.ffn_down_exps.weight")
    // GGUF does not say whether the weights are normalised: the published models do, and llama.cpp assumes it.
    try Qwen2MoE.setExperts(&config, fields, width: width, shared: 0, normalizes: fields.gguf != nil)
    return try Qwen3.validated(config, fields) { _, _ in true }
  }

  private static var names: TensorNames {
    var names = Qwen2MoE.names
    names.norms = Qwen3.names.norms
    return names
  }
}
