// SPDX-License-Identifier: Apache-2.0

/// Mistral 7B (Jiang et al. 2023): Llama with a sliding window in every layer. GGUF calls it "llama", without the window.
enum Mistral {
  static let architecture = Architecture(
    modelTypes: ["mistral"], ggufNames: [], interleavesHeads: true
  ) { fields throws(ModelError) in
    try fields.require("hidden_act", "silu")
    var config = try ModelConfig(fields, "mistral")
    let window = try fields.integer(.slidingWindow, default: 0)
    for layer in config.layers.indices { config.layers[layer].window = window }
    return try config.validated(fields)
  }
}
