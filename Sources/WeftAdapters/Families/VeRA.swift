// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// VeRA (https://arxiv.org/abs/2310.11454): Delta = diag(lambda_b) B diag(lambda_d) A, with random A and B that all modules
/// share and take the beginnings of.
///
/// Tensors per adapted module: `vera_lambda_b` [out] and `vera_lambda_d` [rank]. Of the model: `vera_A` [rank, in] and `vera_B`
/// [out, rank] for the largest module, or a seed (`save_projection`: false).
///
/// Modules of one input size share A in memory; both diagonals go into a B of each module's own: out * rank floats.
enum VeRA {
  private static let rules = AdapterConfig.rules(
    read: ["r", "save_projection", "projection_prng_key"], inert: ["vera_dropout", "d_initial"])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let rank = try files.config.rank("r", default: 256, base: base)
    let parameters = ["vera_lambda_b", "vera_lambda_d"]
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    try files.config.requireRoom(rank: rank, option: "r", modules: modules.map(\.module), base: base)
    let diagonals = try modules.map { (tensors) throws(AdapterError) in
      try Diagonals(tensors, parameters, rows: base.size(of: tensors.module).out, rank: rank, from: &files)
    }
    // The weights are drawn with a gain of sqrt(2).
    var projection = try SharedProjection(
      &files, names: ("vera_A", "vera_B"), sizes: modules.map { base.size(of: $0.module) }, rank: rank, rankOfA: rank,
      gain: 2.0.squareRoot())
    for (tensors, diagonals) in zip(modules, diagonals) {
      let (a, b) = try projection.factors(base.size(of: tensors.module), diagonals)
      try builder.addLowRank(a, b, scale: 1, to: tensors.module)
    }
    return builder.deltas
  }

  /// What is trained of one module.
  struct Diagonals {
    /// [out]
    let b: [Float]
    /// [rank]
    let d: [Float]

    /// - Parameter count: elements of d in the file, when that has more than are used.
    init(
      _ tensors: ModuleTensors, _ parameters: [String], rows: Int, rank: Int, count: Int? = nil,
      from files: inout AdapterFolder
    ) throws(AdapterError) {
      let (nameB, nameD) = (try tensors.name(parameters[0]), try tensors.name(parameters[1]))
      b = try files.takeFloats(nameB, shape: [rows])
      d = Array(try files.takeFloats(nameD, shape: [count ?? rank]).prefix(rank))
    }
  }

  /// A and B of the whole model.
  struct SharedProjection {
    /// [rank or more, width]
    private let a: Tensor
    /// [height, rank]
    private let b: [Float]
    private let rank: Int
    /// The first columns of A, by their count.
    private var beginnings: [Int: Tensor] = [:]

    /// Takes the two tensors, or makes them from the seed.
    ///
    /// - Parameters:
    ///   - sizes: of all modules that are adapted.
    ///   - rankOfA: rows of A, of which the first `rank` are used.
    ///   - gain: of the uniform distribution that A and B are drawn from (see `TorchGenerator.kaimingUniform`).
    init(
      _ files: inout AdapterFolder, names: (a: String, b: String), sizes: [BaseShape.Size], rank: Int, rankOfA: Int,
      gain: Double
    ) throws(AdapterError) {
      let width = sizes.reduce(0) { max($0, $1.in) }
      let height = sizes.reduce(0) { max($0, $1.out) }
      self.rank = rank
      if try files.config.bool("save_projection", default: true) {
        let (nameA, nameB) = (try files.requireModelTensor(names.a), try files.requireModelTensor(names.b))
        a = try files.take(nameA, shape: [rankOfA, width])
        b = try files.takeFloats(nameB, shape: [height, rank])
      } else {
        guard !sizes.isEmpty else { throw .noTensors(location: files.tensorsLocation) }
        let seed = try files.config.integer("projection_prng_key", default: 0, atLeast: .min)
        var generator = TorchGenerator(seed: seed)
        a = try makeTensor(generator.kaimingUniform(rankOfA * width, fan: width, gain: gain), [rankOfA, width])
        b = generator.kaimingUniform(height * rank, fan: rank, gain: gain)
      }
    }

    /// A [rank, in] and diag(b) B diag(d) [out, rank] of a module.
    mutating func factors(_ size: BaseShape.Size, _ diagonals: Diagonals) throws(AdapterError) -> (a: Tensor, b: Tensor) {
      var folded = [Float](repeating: 0, count: size.out * rank)
      for o in 0..<size.out {
        for r in 0..<rank { folded[o * rank + r] = diagonals.b[o] * b[o * rank + r] * diagonals.d[r] }
      }
      return (try beginning(size.in), try makeTensor(folded, [size.out, rank]))
    }

    private mutating func beginning(_ width: Int) throws(AdapterError) -> Tensor {
      if let tensor = beginnings[width] { return tensor }
      var tensor = a.slice(rows: 0..<rank)
      if width < a.columns {
        let values = tensor.floats()
        tensor = try makeTensor(
          (0..<rank).flatMap { values[$0 * a.columns..<$0 * a.columns + width] }, [rank, width])
      }
      beginnings[width] = tensor
      return tensor
    }
  }
}
