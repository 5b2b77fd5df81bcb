// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// GraLoRA (https://arxiv.org/abs/2505.20355): the weight in k x k blocks, each with a low-rank product of its own.
///
/// Tensors per adapted module: `gralora_A` [k, in / k, rank] and `gralora_B` [k, rank, out / k]; with `hybrid_r` also a LoRA
/// `gralora_A_general.weight` [hybrid, in] and `gralora_B_general.weight` [out, hybrid]. scale = alpha / (rank + hybrid).
/// With q = rank / k the block of output block m and input block n is the transpose of
/// A[n][:, m q ..< (m + 1) q] B[m][n q ..< (n + 1) q, :].
///
/// Every block has its q ranks for itself, so that one product holds them all: a rank of k * rank + hybrid, and k times the
/// memory of the file, most of it zeros; or their product, where that is smaller.
enum GraLoRA {
  private static let rules = AdapterConfig.rules(read: ["r", "hybrid_r", "alpha", "gralora_k"], inert: ["gralora_dropout"])
  private static let parameters = [
    "gralora_A", "gralora_B", "gralora_A_general.weight", "gralora_B_general.weight",
  ]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let rank = try config.rank("r", default: 32, base: base)
    let hybrid = try config.rank("hybrid_r", default: 0, atLeast: 0, base: base)
    let blocks = try config.integer("gralora_k", default: 2)
    let scale = Float(try config.number("alpha", default: 64) / Double(rank + hybrid))
    guard rank % blocks == 0 else {
      throw config.malformed("gralora_k", expected: "a divisor of r, which is \(rank)", found: config["gralora_k"])
    }
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    let (blockRank, overflow) = blocks.multipliedReportingOverflow(by: rank)
    try config.requireRoom(
      rank: overflow ? .max : blockRank, option: "gralora_k", modules: modules.map(\.module), base: base)
    for tensors in modules {
      let size = base.size(of: tensors.module)
      guard size.in % blocks == 0, size.out % blocks == 0 else {
        throw config.malformed(
          "gralora_k", expected: "a divisor of [\(size.out), \(size.in)], the size of \(tensors.module.path)",
          found: config["gralora_k"])
      }
      let (width, height) = ((size.in) / blocks, size.out / blocks)
      let (nameA, nameB) = (try tensors.name(parameters[0]), try tensors.name(parameters[1]))
      let blockA = try files.takeFloats(nameA, shape: [blocks, width, rank])
      let blockB = try files.takeFloats(nameB, shape: [blocks, rank, height])
      var general: (a: [Float], b: [Float]) = ([], [])
      if hybrid > 0 {
        general.a = try files.takeFloats(try tensors.name(parameters[2]), shape: [hybrid, size.in])
        general.b = try files.takeFloats(try tensors.name(parameters[3]), shape: [size.out, hybrid])
      }
      let total = blockRank + hybrid
      var a = [Float](repeating: 0, count: blockRank * size.in)
      var b = [Float](repeating: 0, count: size.out * total)
      let share = rank / blocks
      for m in 0..<blocks {
        for n in 0..<blocks {
          for p in 0..<share {
            let r = m * rank + n * share + p
            for i in 0..<width { a[r * size.in + n * width + i] = blockA[(n * width + i) * rank + m * share + p] }
            for o in 0..<height { b[(m * height + o) * total + r] = blockB[(m * rank + n * share + p) * height + o] }
          }
        }
      }
      for o in 0..<size.out {
        for r in 0..<hybrid { b[o * total + blockRank + r] = general.b[o * hybrid + r] }
      }
      try builder.addProduct(a + general.a, b, rank: total, scale: scale, to: tensors.module)
    }
    return builder.deltas
  }
}
