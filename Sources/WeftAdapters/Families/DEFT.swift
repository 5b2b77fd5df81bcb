// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// DEFT: the base loses what it has in a trained subspace, and gets something new there:
/// Delta = L (s R - M' W), with L = P and M = relu(P), or both the Q of P's QR decomposition.
///
/// Tensors per adapted module: `deft_P` [out, rank], and `deft_R` [rank, in] unless `para` says that nothing comes in its place.
/// s = alpha / rank, or 1 without alpha. Source: peft 0.21.2, `peft.tuners.deft`.
///
/// M' W is computed from the base's weights when the adapter is read: rank * out * in multiplications of each module.
enum DEFT {
  private static let rules = AdapterConfig.rules(
    read: ["r", "alpha", "para", "decomposition_method"], inert: ["deft_dropout", "init_scale"])
  private static let parameters = ["deft_P", "deft_R"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let ranks = try config.rank("r", default: 8, base: base)
    let alpha = try config.number("alpha", default: 0)
    let isRemoval = try config.bool("para", default: false)
    let isOrthogonal = try isOrthogonal(config)
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    let values = try builder.values()
    for tensors in modules {
      let size = base.size(of: tensors.module)
      // No subspace is larger than the space.
      let rank = min(ranks, size.out)
      let name = try tensors.name(parameters[0])
      try files.requireRank(name, rank, axis: 1)
      var left = try files.takeFloats(name, shape: [size.out, rank])
      let scale = alpha == 0 ? 1 : Float(alpha / Double(rank))
      let new =
        try isRemoval
        ? [Float](repeating: 0, count: rank * size.in)
        : files.takeFloats(try tensors.name(parameters[1]), shape: [rank, size.in])
      let old: [Float]
      do throws(LinearAlgebraError) {
        if isOrthogonal { left = try LinearAlgebra.qr(left, rows: size.out, columns: rank).q }
        old = try LinearAlgebra.product(
          isOrthogonal ? left : left.map { max($0, 0) }, transposed: true, values.weight(of: tensors.module),
          rows: rank, inner: size.out, columns: size.in)
      } catch { throw .linearAlgebra(location: files.tensorsLocation, error) }
      let a = zip(new, old).map { scale * $0 - $1 }
      try builder.addLowRank(
        try makeTensor(a, [rank, size.in]), try makeTensor(left, [size.out, rank]), scale: 1, to: tensors.module)
    }
    return builder.deltas
  }

  private static func isOrthogonal(_ config: AdapterConfig) throws(AdapterError) -> Bool {
    switch try config.string("decomposition_method") {
    case nil, "relu": return false
    case "qr": return true
    default:
      throw config.malformed(
        "decomposition_method", expected: "\"relu\" or \"qr\"", found: config["decomposition_method"])
    }
  }
}
