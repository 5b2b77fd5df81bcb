// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// Phi-3 and Phi-4-mini (Abdin et al. 2024): Llama with fused projections, LongRoPE, and rotation of a part of every head.
enum Phi3 {
  static let architecture = Architecture(
    modelTypes: ["phi3"], ggufNames: ["phi3"], names: names
  ) { fields throws(ModelError) in
    try fields.require("hidden_act", "silu")
    var config = try ModelConfig(fields, "phi3", epsilon: 1e-5)
    let window = try fields.integer(.slidingWindow, default: 0)
    for layer in config.layers.indices { config.layers[layer].window = window }
    return try config.validated(fields)
  }

  private static var names: TensorNames {
    var names = TensorNames.llama
    // The fused modules are the published ones; adapters and files of the same graph unfused name the others. The order is
    // that of transformers, which random choices for all modules follow.
    let published = [
      LinearName("self_attn.o_proj", .output), LinearName("self_attn.qkv_proj", .query, .key, .value),
      LinearName("mlp.gate_up_proj", .gate, .up), LinearName("mlp.down_proj", .down),
    ]
    names.linears = published + names.linears.filter { other in !published.contains { $0.name == other.name } }
    return names
  }
}
