// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// DeLoRA (https://arxiv.org/abs/2503.18225): a LoRA of bounded norm,
/// Delta = B diag(lambda / (rank |A_i| |B_i|)) A diag(w), with the norms of rows of A and columns of B, at least 1e-4 each.
///
/// Tensors per adapted module: `delora_A` [rank, in], `delora_B` [out, rank], `delora_lambda` [1], and `delora_w_norm` [in], the
/// norms of the base's columns when training began.
enum DeLoRA {
  private static let rules = AdapterConfig.rules(
    read: ["r", "rank_pattern"], inert: ["delora_lambda", "lambda_pattern", "module_dropout"])
  private static let parameters = ["delora_A", "delora_B", "delora_lambda", "delora_w_norm"]
  private static let leastNorm = 1e-4

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let ranks = try PatternedRank(files.config, "r", default: 8, pattern: "rank_pattern", base: base)
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let size = base.size(of: tensors.module)
      let rank = try ranks.rank(of: tensors.module)
      let (nameA, nameB) = (try tensors.name(parameters[0]), try tensors.name(parameters[1]))
      try files.requireRank(nameA, rank, axis: 0)
      var a = try files.takeFloats(nameA, shape: [rank, size.in])
      var b = try files.takeFloats(nameB, shape: [size.out, rank])
      let bound = try files.takeFloats(try tensors.name(parameters[2]), shape: [1])[0]
      let norms = try files.takeFloats(try tensors.name(parameters[3]), shape: [size.in])
      for r in 0..<rank {
        var (squareA, squareB) = (0.0, 0.0)
        for i in 0..<size.in { squareA += Double(a[r * size.in + i]) * Double(a[r * size.in + i]) }
        for o in 0..<size.out { squareB += Double(b[o * rank + r]) * Double(b[o * rank + r]) }
        let product = max(squareA.squareRoot(), leastNorm) * max(squareB.squareRoot(), leastNorm)
        let factor = Float(Double(bound) / Double(rank) / product)
        for i in 0..<size.in { a[r * size.in + i] *= norms[i] }
        for o in 0..<size.out { b[o * rank + r] *= factor }
      }
      try builder.addLowRank(
        try makeTensor(a, [rank, size.in]), try makeTensor(b, [size.out, rank]), scale: 1, to: tensors.module)
    }
    return builder.deltas
  }
}
