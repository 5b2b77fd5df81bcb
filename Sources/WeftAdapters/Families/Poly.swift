// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
internal import WeftTensors

/// Poly (https://arxiv.org/abs/2202.13914, multi-head: https://arxiv.org/abs/2211.03831): for the task that the user names, A and
/// B are weighted means of the skills' A and B, split by split; Delta = B A / r.
///
/// Tensors per adapted module: `poly_lora_A` [splits, skills, in / splits, r], `poly_lora_B` [splits, skills, r, out / splits],
/// `poly_router.module_logits` [tasks, splits * skills]. A skill's weight is the sigmoid of its logit, over their sum.
enum Poly {
  private static let parameters = ["poly_lora_A", "poly_lora_B", "poly_router.module_logits"]
  private static let rules = AdapterConfig.rules(read: ["r", "n_tasks", "n_skills", "n_splits", "poly_type"])
  private static let epsilon = 1e-12

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    guard try config.string("poly_type") ?? "poly" == "poly" else {
      throw config.malformed("poly_type", expected: "\"poly\"", found: config["poly_type"])
    }
    let rank = try config.rank("r", default: 8, base: base)
    let splits = try config.integer("n_splits", default: 1)
    let skills = try config.integer("n_skills", default: 4)
    let tasks = try config.integer("n_tasks", default: 1)
    guard let task = options.task ?? (tasks == 1 ? 0 : nil) else {
      throw .missingOption(
        location: files.path, option: "task", why: "the adapter was trained for \(tasks) tasks, 0 to \(tasks - 1)")
    }
    guard (0..<tasks).contains(task) else {
      throw .malformedOption(
        location: files.path, option: "task", expected: "one of the adapter's \(tasks) tasks, from 0", found: "\(task)")
    }
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let size = base.size(of: tensors.module)
      guard size.in % splits == 0, size.out % splits == 0 else {
        throw config.malformed(
          "n_splits", expected: "a divisor of [\(size.out), \(size.in)], as \(tensors.module.path) is",
          found: config["n_splits"])
      }
      let rows = size.out / splits
      let columns = (size.in) / splits
      let (a, b) = (try tensors.name(parameters[0]), try tensors.name(parameters[1]))
      let router = try tensors.name(parameters[2])
      for name in [a, b] { try requireCounts(name, splits, skills, files) }
      try files.requireShape(a, [splits, skills, columns, rank])
      try files.requireShape(b, [splits, skills, rank, rows])
      let logits = try files.takeFloats(router, shape: [tasks, splits * skills])
      let (valuesA, valuesB) = (try files.takeWeights(a).floats(), try files.takeWeights(b).floats())
      var factorA = [Float](repeating: 0, count: rank * size.in)
      var factorB = [Float](repeating: 0, count: size.out * rank)
      for split in 0..<splits {
        let weights = weights(logits[(task * splits + split) * skills..<(task * splits + split + 1) * skills])
        for (skill, weight) in weights.enumerated() {
          let start = split * skills + skill
          for i in 0..<columns {
            for r in 0..<rank {
              factorA[r * size.in + split * columns + i] += weight * valuesA[(start * columns + i) * rank + r]
            }
          }
          for r in 0..<rank {
            for o in 0..<rows { factorB[(split * rows + o) * rank + r] += weight * valuesB[(start * rank + r) * rows + o] }
          }
        }
      }
      try builder.addLowRank(
        try makeTensor(factorA, [rank, size.in]), try makeTensor(factorB, [size.out, rank]), scale: 1 / Float(rank),
        to: tensors.module)
    }
    return builder.deltas
  }

  /// Refuses a tensor whose first axes are not those of the config before they are multiplied.
  private static func requireCounts(
    _ name: String, _ splits: Int, _ skills: Int, _ files: AdapterFolder
  ) throws(AdapterError) {
    let shape = files.shape(of: name)
    guard shape.count == 4, shape[0] == splits, shape[1] == skills else {
      throw .wrongShape(
        location: files.tensorsLocation, tensor: name, expected: [splits, skills] + shape.dropFirst(2), found: shape)
    }
  }

  private static func weights(_ logits: ArraySlice<Float>) -> [Float] {
    let sigmoids = logits.map { 1 / (1 + exp(-Double($0))) }
    let sum = sigmoids.reduce(0, +) + epsilon
    return sigmoids.map { Float($0 / sum) }
  }
}
