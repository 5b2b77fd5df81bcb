// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases on queries, keys and values, and a window in the upper layers on
/// request.
enum Qwen2 {
  static let architecture = Architecture(modelTypes: ["qwen2"], ggufNames: ["qwen2"]) { fields throws(ModelError) in
    try fields.require("hidden_act", "silu")
    var config = try ModelConfig(fields, "qwen2")
    if config.biases != nil { config.biases = [.query, .key, .value] }
    try setWindows(&config, fields)
    return try config.validated(fields)
  }

  /// With `use_sliding_window`, some layers see a window only: those that `layer_types` names, else those of the model's rule.
  static func setWindows(
    _ config: inout ModelConfig, _ fields: ConfigFields, rule: (_ layer: Int, _ maximumWindowLayers: Int) -> Bool = { $0 >= $1 }
  ) throws(ModelError) {
    guard try fields.bool("use_sliding_window", default: false) else { return }
    let window = try fields.integer(.slidingWindow, default: 0)
    let limit = try fields.integer(ConfigKey("max_window_layers", ""), default: config.layerCount)
    let sliding = try ModelConfig.slidingLayers(fields, count: config.layerCount)
    for layer in config.layers.indices where sliding?[layer] ?? rule(layer, limit) { config.layers[layer].window = window }
  }
}
