// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas

extension WeightSite {
  /// The path of the module in transformers' Llama: `model.layers.3.self_attn.q_proj`, `lm_head`.
  package var modulePath: String {
    switch self {
    case .layer(let layer, let projection): "model.layers.\(layer).\(projection.block).\(projection.name)"
    case .outputHead: "lm_head"
    }
  }

  /// Splits the name of a tensor in an adapter file into the site of its module and the parameter that follows:
  /// `base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight` is layer 3, query, and `lora_A.weight`.
  ///
  /// Files of PEFT begin with `base_model.model.`; files of other tools leave that out, and adapters of the bare decoder
  /// (transformers' `LlamaModel`) have no further `model.` in front of `layers`. Returns nil for any other name. The layer is
  /// not compared with a base here.
  static func split(tensorName name: String) -> (site: WeightSite, parameter: String)? {
    var path = Substring(name)
    if path.hasPrefix("base_model.model.") { path.removeFirst("base_model.model.".count) }
    if path.hasPrefix("lm_head.") { return (.outputHead, String(path.dropFirst("lm_head.".count))) }
    if path.hasPrefix("model.") { path.removeFirst("model.".count) }
    let parts = path.split(separator: ".", maxSplits: 4, omittingEmptySubsequences: false)
    guard parts.count == 5, parts[0] == "layers", let layer = Int(parts[1]), String(layer) == parts[1], layer >= 0,
      let projection = Projection.allCases.first(where: { $0.block == parts[2] && $0.name == parts[3] })
    else { return nil }
    return (.layer(layer, projection), String(parts[4]))
  }
}

extension Projection {
  /// The module of a decoder layer that holds this projection.
  fileprivate var block: String {
    switch self {
    case .query, .key, .value, .output: "self_attn"
    case .gate, .up, .down: "mlp"
    }
  }
}
