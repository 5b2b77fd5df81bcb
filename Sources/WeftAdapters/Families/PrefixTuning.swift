// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// Prefix tuning (https://arxiv.org/abs/2101.00190) and Cartridges (https://arxiv.org/abs/2506.06266): keys and values of n
/// positions before the first token, for every layer.
///
/// `prompt_embeddings` [n, 2 * layers * key-value heads * head dimension]: layer l has its keys at 2 l, as they stand in the
/// cache behind rotation, and its values at 2 l + 1. A projection has been applied when it is saved.
enum PrefixTuning {
  private static let prompt = "prompt_embeddings"

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    let options = try PromptOptions(
      config, read: ["num_layers", "num_attention_heads"],
      inert: ["encoder_hidden_size", "prefix_projection", "init_weights", "num_frozen_tokens"])
    let (layers, attention) = (model.shape.layerCount, model.shape.attention)
    guard let heads = attention.keyValueHeads.first, attention.keyValueHeads.allSatisfy({ $0 == heads }) else {
      throw config.malformed(
        "num_attention_heads", expected: "a base whose layers have as many key-value heads each",
        found: config["num_attention_heads"])
    }
    try require("num_layers", layers, config)
    try require("num_attention_heads", heads, config)
    try options.requireWidth(heads * attention.headDimension)
    var builder = try DeltaBuilder(model, &files, adapting: [])
    let count = try options.count(prompt, files)
    let values = try files.takeFloats(prompt, shape: [count, 2 * layers * heads * attention.headDimension])
    builder.deltas.prompt = .keysAndValues(try makeTensor(values, [count, 2 * layers, heads, attention.headDimension]))
    return builder.deltas
  }

  private static func require(_ option: String, _ expected: Int, _ config: AdapterConfig) throws(AdapterError) {
    guard config[option] != nil, try config.integer(option, default: 1) != expected else { return }
    throw config.malformed(option, expected: "\(expected), as the base has", found: config[option])
  }
}
