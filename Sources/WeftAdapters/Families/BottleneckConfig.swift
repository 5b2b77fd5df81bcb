// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// The options of `BnConfig` in the library `adapters`.
struct BottleneckConfig {
  enum Scaling { case number(Float), learned, channel }

  let input: Bottleneck.Input
  let activation: Bottleneck.Activation
  let scaling: Scaling
  let hasNormBefore: Bool
  let hasNormAfter: Bool

  private static let rules: [String: AdapterConfig.Rule] = [
    "mh_adapter": .inert, "output_adapter": .inert, "reduction_factor": .inert, "leave_out": .inert, "dropout": .inert,
    "init_weights": .inert, "init_weights_seed": .inert, "stochastic_depth": .inert,
    "non_linearity": .read, "original_ln_before": .read, "original_ln_after": .read, "ln_before": .read, "ln_after": .read,
    "is_parallel": .read, "scaling": .read, "residual_before_ln": .read,
    "use_gating": .off, "adapter_residual_before_ln": .off, "inv_adapter": .off, "cross_adapter": .off, "phm_layer": .off,
    // They say how a compacter is made, which `phm_layer` refuses, and an invertible adapter.
    "phm_dim": .inert, "phm_bias": .inert, "phm_rank": .inert, "phm_c_init": .inert, "phm_init_range": .inert,
    "learn_phm": .inert, "shared_phm_rule": .inert, "factorized_phm_rule": .inert, "factorized_phm_W": .inert,
    "shared_W_phm": .inert, "hypercomplex_nonlinearity": .inert, "inv_adapter_reduction_factor": .inert,
  ]

  private static let activations: [String: Bottleneck.Activation] = [
    "relu": .relu, "leakyrelu": .leakyReLU, "gelu": .gelu, "gelu_new": .geluTanh, "gelu_pytorch_tanh": .geluTanh,
    "swish": .silu, "silu": .silu, "tanh": .tanh, "linear": .identity,
  ]

  init(_ file: AdapterConfig) throws(AdapterError) {
    guard let config = try file.nested("config") else {
      throw file.malformed("config", expected: "an object with the options of the adapter", found: nil)
    }
    if let architecture = try config.string("architecture") {
      throw .unsupportedOption(
        location: config.location, option: "architecture", expected: "a bottleneck adapter (none)", found: "\"\(architecture)\""
      )
    }
    if try config.bool("phm_layer") {
      throw .unsupportedOption(
        location: config.location, option: "phm_layer", expected: "plain down and up projections", found: "a compacter")
    }
    try config.check(BottleneckConfig.rules)
    let name = try config.string("non_linearity") ?? ""
    guard let activation = BottleneckConfig.activations[name.lowercased()] else {
      throw .unsupportedOption(
        location: config.location, option: "non_linearity",
        expected: BottleneckConfig.activations.keys.sorted().joined(separator: ", "), found: "\"\(name)\"")
    }
    self.activation = activation
    if let text = config["scaling"]?.string {
      guard text == "learned" || text == "channel" else {
        throw config.malformed("scaling", expected: "a number, \"learned\" or \"channel\"", found: config["scaling"])
      }
      scaling = text == "learned" ? .learned : .channel
    } else {
      guard let scale = config["scaling"]?.double ?? (config["scaling"] == nil ? 1 : nil), scale.isFinite else {
        throw config.malformed("scaling", expected: "a number, \"learned\" or \"channel\"", found: config["scaling"])
      }
      scaling = .number(Float(scale))
    }
    (hasNormBefore, hasNormAfter) = (try config.bool("ln_before"), try config.bool("ln_after"))
    input = try BottleneckConfig.input(config)
  }

  /// What the module reads; options under which the residual stream is not stream + answer + module are refused.
  private static func input(_ config: AdapterConfig) throws(AdapterError) -> Bottleneck.Input {
    let after = config["original_ln_after"] == nil ? true : try config.bool("original_ln_after")
    if try config.bool("is_parallel") {
      guard after else { throw streamLost(config) }
      return .stream
    }
    let before = try config.bool("original_ln_before")
    // "post_add" needs a norm after the sublayer, which decoders do not have.
    let ownResidual = config["residual_before_ln"] == nil ? true : try config.bool("residual_before_ln")
    switch (before, ownResidual, after) {
    case (true, true, true), (true, false, false): return .sum
    case (false, _, true): return .answer
    default: throw streamLost(config)
    }
  }

  private static func streamLost(_ config: AdapterConfig) -> AdapterError {
    .unsupportedOption(
      location: config.location, option: "original_ln_after", expected: "options that keep one residual connection",
      found: "\(config["original_ln_after"]?.kind ?? "none")")
  }
}
