// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// LoHa (https://arxiv.org/abs/2108.06098): D = alpha / r (w1a w1b) o (w2a w2b), elementwise.
///
/// Tensors per module: `hada_w1_a`, `hada_w2_a` [out, r], `hada_w1_b`, `hada_w2_b` [r, in].
enum LoHa {
  // Inert: training, and convolutions.
  private static let rules = AdapterConfig.rules(
    read: ["r", "alpha", "rank_pattern", "alpha_pattern"],
    inert: ["rank_dropout", "module_dropout", "use_effective_conv2d"])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let scales = try ScaleOption(files.config, base)
    let parameters = ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"]
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let size = base.size(of: tensors.module)
      let rank = try scales.ranks.rank(of: tensors.module)
      let a1 = try files.take(tensors.name("hada_w1_a"), shape: [size.out, rank])
      let b1 = try files.take(tensors.name("hada_w1_b"), shape: [rank, size.in])
      let a2 = try files.take(tensors.name("hada_w2_a"), shape: [size.out, rank])
      let b2 = try files.take(tensors.name("hada_w2_b"), shape: [rank, size.in])
      try builder.addStructured(scale: try scales.scale(of: tensors.module), to: tensors.module) { () throws(StructuredError) in
        try .hadamard(a1: a1, b1: b1, a2: a2, b2: b2)
      }
    }
    return builder.deltas
  }
}
