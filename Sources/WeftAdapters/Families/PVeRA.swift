// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// PVeRA (https://arxiv.org/abs/2512.07703): VeRA whose inner vector is the mean of a distribution; its variance is only for
/// training. Delta = diag(lambda_b) B (diag(lambda_d) A)[:rank].
///
/// Tensors per adapted module: `pvera_lambda_b` [out] and `pvera_lambda_d` [2 rank]. Of the model: `pvera_A` [2 rank, in] and
/// `pvera_B` [out, rank] for the largest module, or a seed (`save_projection`: false).
enum PVeRA {
  private static let rules = AdapterConfig.rules(
    read: ["r", "save_projection", "projection_prng_key"], inert: ["pvera_dropout", "d_initial", "generator_seed"],
    off: ["sample_at_inference"])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let rank = try files.config.rank("r", default: 256, base: base)
    let parameters = ["pvera_lambda_b", "pvera_lambda_d"]
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    try files.config.requireRoom(rank: rank, option: "r", modules: modules.map(\.module), base: base)
    let diagonals = try modules.map { (tensors) throws(AdapterError) in
      try VeRA.Diagonals(
        tensors, parameters, rows: base.size(of: tensors.module).out, rank: rank, count: 2 * rank, from: &files)
    }
    // torch's own parameter of 0 for the slope: a gain of sqrt(2).
    var projection = try VeRA.SharedProjection(
      &files, names: ("pvera_A", "pvera_B"), sizes: modules.map { base.size(of: $0.module) }, rank: rank, rankOfA: 2 * rank,
      gain: 2.0.squareRoot())
    for (tensors, diagonals) in zip(modules, diagonals) {
      let (a, b) = try projection.factors(base.size(of: tensors.module), diagonals)
      try builder.addLowRank(a, b, scale: 1, to: tensors.module)
    }
    return builder.deltas
  }
}
