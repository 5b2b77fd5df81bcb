// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Super-tuning (https://arxiv.org/abs/2607.09287): D is zero but for (1 - sparsity) of its elements, with an optional low-rank part beside it.
///
/// Tensors per module: `supertuning_values` [n], `supertuning_indices` [n] (row * in + column), and with `r` also
/// `supertuning_lora_A.weight` [r, in], `supertuning_lora_B.weight` [out, r] at scale lora_alpha / r. Without
/// `save_precomputed_indices` the places are those of the n largest (or smallest) magnitudes of the base, in order of size.
enum Supertuning {
  private static let rules = AdapterConfig.rules(
    read: ["sparsity", "select_top", "r", "lora_alpha", "save_precomputed_indices"],
    inert: ["lora_dropout"])

  private static let factors = (a: "supertuning_lora_A.weight", b: "supertuning_lora_B.weight")

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let sparsity = try config.number("sparsity", default: 0.99)
    guard sparsity >= 0, sparsity < 1 else {
      throw config.malformed("sparsity", expected: "a number from 0 to below 1", found: config["sparsity"])
    }
    let isSaved = try config.bool("save_precomputed_indices", default: true)
    let selectsTop = try config.bool("select_top", default: true)
    let rank = config["r"] == nil ? nil : try config.rank("r", default: 1, base: base)
    if rank != nil, config["lora_alpha"] == nil {
      throw config.malformed("lora_alpha", expected: "a number, as r is given", found: nil)
    }
    let alpha = try config.number("lora_alpha", default: 0)
    var parameters = ["supertuning_values"]
    if isSaved { parameters.append("supertuning_indices") }
    if rank != nil { parameters += [factors.a, factors.b] }
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let (module, size) = (tensors.module, base.size(of: tensors.module))
      let count = Int(Double(size.out * size.in) * (1 - sparsity))
      let values = try files.takeFloats(tensors.name("supertuning_values"), shape: [count])
      let positions =
        isSaved
        ? try files.takeIndices(tensors.name("supertuning_indices"), shape: [count], below: size.out * size.in)
        : try places(count, selectsTop, try builder.values().weight(of: module), module, files.tensorsLocation)
      try builder.addStructured(scale: 1, to: module) { () throws(StructuredError) in
        try .sparse(positions: positions, values: values, out: size.out, in: size.in)
      }
      if let rank {
        let a = try files.take(tensors.name(factors.a), shape: [rank, size.in])
        let b = try files.take(tensors.name(factors.b), shape: [size.out, rank])
        try builder.addLowRank(a, b, scale: Float(alpha / Double(rank)), to: module)
      }
    }
    return builder.deltas
  }

  /// The places of the largest or smallest magnitudes, in order of size. Which of several equal magnitudes come first depends on
  /// the machine that trained: with equal ones among the chosen, the values cannot be placed.
  private static func places(
    _ count: Int, _ top: Bool, _ weight: [Float], _ module: BaseModule, _ location: String
  ) throws(AdapterError) -> [Int] {
    // Magnitudes of floats are ordered as their bits, of which there are 31; the other 33 are the place.
    let sorted = weight.indices.map { index -> UInt64 in
      let magnitude = UInt64(weight[index].magnitude.bitPattern)
      return (top ? (1 << 31) - 1 - magnitude : magnitude) << 33 | UInt64(index)
    }.sorted()
    for place in 0..<min(count, sorted.count - 1) where sorted[place] >> 33 == sorted[place + 1] >> 33 {
      throw .notReproducible(
        location: location,
        reason:
          "the places of the values of \(module.path) are not stored, and weights of the base among them have equal magnitudes",
        remedy: "write the adapter again with save_precomputed_indices true, on the machine where it was trained")
    }
    return sorted.prefix(count).map { Int($0 & ((1 << 33) - 1)) }
  }
}
