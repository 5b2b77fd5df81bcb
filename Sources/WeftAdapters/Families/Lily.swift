// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Lily (https://arxiv.org/abs/2407.09946): h = A x, and B is a mixture of `num_B` matrices that all layers share, with weights
/// softmax(router h), averaged over the tokens that are computed together; y += scaling * B h.
///
/// Tensors per adapted module: `lily_A.weight` [r, in], `lily_B.weight` [num_B * r, out], `lily_router.weight` [num_B, r]. What
/// modules share is stored for each of them.
///
/// PEFT averages over all tokens of a batch; Weft over those of one sequence in one step, so that sequences do not depend on each
/// other.
enum Lily {
  private static let parameters = ["lily_A.weight", "lily_B.weight", "lily_router.weight"]
  // Which modules share a factor is in the tensors.
  private static let rules = AdapterConfig.rules(read: ["r", "num_B", "scaling"], inert: ["stride_A"])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let rank = try config.rank("r", default: 32, base: base)
    let count = try config.rank("num_B", default: 2, base: base)
    let scale = Float(try config.number("scaling", default: 1))
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let size = base.size(of: tensors.module)
      let (a, b) = (try tensors.name(parameters[0]), try tensors.name(parameters[1]))
      let router = try tensors.name(parameters[2])
      try files.requireRank(a, rank, axis: 0)
      try files.requireShape(a, [rank, size.in])
      try files.requireShape(b, [count * rank, size.out])
      let weights = try files.takeFloats(router, shape: [count, rank])
      let (shared, valuesB) = (try files.takeWeights(a), try files.takeWeights(b).floats())
      let gate: [Float]
      do { gate = try LinearAlgebra.product(weights, shared.floats(), rows: count, inner: rank, columns: size.in) } catch {
        throw .linearAlgebra(location: files.tensorsLocation, error)
      }
      let experts = try (0..<count).map { expert throws(AdapterError) in
        let own = Array(valuesB[expert * rank * size.out..<(expert + 1) * rank * size.out])
        let b = try makeTensor(LinearAlgebra.transposed(own, rows: rank, columns: size.out), [size.out, rank])
        return LoRA.Factors(a: shared, b: b, scale: scale)
      }
      try GatedExperts(experts, size).add(
        gate: try makeTensor(gate, [count, size.in]), rule: .average, to: tensors.module, of: &builder)
    }
    return builder.deltas
  }
}
