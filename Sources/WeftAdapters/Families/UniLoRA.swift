// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// UniLoRA (https://arxiv.org/abs/2506.00799): every element of every module's A and B is one of d trained numbers, divided by
/// the square root of how often that is used in the whole adapter.
///
/// Tensors of the model: `unilora_theta_d` [d]. With `save_indices` per adapted module `unilora_indices_A` and
/// `unilora_scales_A` [rank, in], `unilora_indices_B` and `unilora_scales_B` [out, rank]. Otherwise the indices come from numpy's
/// generator, for all adapted modules in the order of the model at once: each number equally often, the rest chosen, all
/// shuffled.
///
/// In memory it is a LoRA of this rank: rank * (in + out) floats of each module.
enum UniLoRA {
  private static let rules = AdapterConfig.rules(
    read: ["r", "theta_d_length", "proj_seed", "save_indices"], inert: ["unilora_dropout", "init_theta_d_bound"])
  private static let parameters = ["unilora_indices_A", "unilora_indices_B", "unilora_scales_A", "unilora_scales_B"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let rank = try config.rank("r", default: 4, base: base)
    let length = try config.integer("theta_d_length", default: 256)
    let numbers = try files.takeFloats(try files.requireModelTensor("unilora_theta_d"), shape: [length])
    guard try config.bool("save_indices") else {
      return try regenerated(numbers, rank: rank, base, &files)
    }
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let size = base.size(of: tensors.module)
      var factors: [Tensor] = []
      for (index, shape) in [[rank, size.in], [size.out, rank]].enumerated() {
        let name = try tensors.name(parameters[index])
        try files.requireRank(name, rank, axis: index)
        let places = try files.takeIndices(name, shape: shape, below: length)
        let scales = try files.takeFloats(try tensors.name(parameters[2 + index]), shape: shape)
        factors.append(try makeTensor(zip(places, scales).map { numbers[$0] * $1 }, shape))
      }
      try builder.addLowRank(factors[0], factors[1], scale: 1, to: tensors.module)
    }
    return builder.deltas
  }

  private static func regenerated(
    _ numbers: [Float], rank: Int, _ base: BaseModel, _ files: inout AdapterFolder
  ) throws(AdapterError) -> DeltaSet {
    let modules = try files.namedModules(base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules)
    try files.config.requireRoom(rank: rank, option: "r", modules: modules, base: base)
    let total = modules.reduce(0) { $0 + rank * (base.size(of: $1).out + base.size(of: $1).in) }
    guard total > 0 else { return builder.deltas }
    let seed = try files.config.integer("proj_seed", default: 42, atLeast: 0)
    var generator = NumPyGenerator(seed: UInt64(seed))
    var places: [Int] = []
    places.reserveCapacity(total)
    for place in numbers.indices { places += repeatElement(place, count: total / numbers.count) }
    if total % numbers.count > 0 { places += generator.choice(of: numbers.count, picking: total % numbers.count) }
    generator.shuffle(&places)
    var counts = [Int](repeating: 0, count: numbers.count)
    for place in places { counts[place] += 1 }
    let scaled = zip(numbers, counts).map { $1 == 0 ? 0 : $0 * (1 / Float($1).squareRoot()) }
    var start = 0
    for module in modules {
      let size = base.size(of: module)
      let a = places[start..<start + rank * size.in].map { scaled[$0] }
      start += a.count
      let b = places[start..<start + rank * size.out].map { scaled[$0] }
      start += b.count
      try builder.addLowRank(try makeTensor(a, [rank, size.in]), try makeTensor(b, [size.out, rank]), scale: 1, to: module)
    }
    return builder.deltas
  }
}
