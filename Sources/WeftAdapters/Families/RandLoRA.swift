// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
internal import WeftTensors

/// RandLoRA (https://arxiv.org/abs/2502.00987): a change of full rank from random bases that all modules share, of which only
/// diagonals are trained. With min and max the smaller and the larger size of the module and n = ceil(min / rank) bases:
///
///     U_A[i n + j, :] = lambda[i, j] gamma[j, :] A[i, :min]      [n rank, min]
///     U_B[:, j rank + i] = B[:max, j, i]                         [max, n rank]
///     Delta = alpha / rank * U_B U_A where in = min, its transpose otherwise
///
/// The two are multiplied by these flat indices, which do not agree in order: so PEFT does it, in training too.
///
/// Tensors per adapted module: `randlora_lambda` [rank, n] and `randlora_gamma` [n, min]. Of the model: `randlora_A`
/// [rank, 1, Min] and `randlora_B` [Max, N, rank] for the sizes of the largest module, or a seed (`save_projection`: false); PEFT
/// writes them once more for every module.
///
/// Modules of one shape share U_B in memory; U_A is each module's own: about min * min floats, and up to twice the
/// multiplications of a dense change. The rank of the operator is n rank.
enum RandLoRA {
  private static let rules = AdapterConfig.rules(
    read: ["r", "randlora_alpha", "save_projection", "projection_prng_key", "sparse", "very_sparse"],
    inert: ["randlora_dropout"])
  private static let parameters = ["randlora_lambda", "randlora_gamma"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let rank = try config.rank("r", default: 32, base: base)
    let scale = Float(try config.number("randlora_alpha", default: 640) / Double(rank))
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    var scales: [(lambda: [Float], gamma: [Float])] = []
    for tensors in modules {
      let size = base.size(of: tensors.module)
      let smaller = min(size.out, size.in)
      let count = (smaller + rank - 1) / rank
      let (lambda, gamma) = (try tensors.name(parameters[0]), try tensors.name(parameters[1]))
      try files.requireRank(lambda, rank, axis: 0)
      scales.append(
        (try files.takeFloats(lambda, shape: [rank, count]), try files.takeFloats(gamma, shape: [count, smaller])))
    }
    var bases = try RandomBases(&files, modules: modules.map { ($0.module, base.size(of: $0.module)) }, rank: rank)
    for (tensors, scales) in zip(modules, scales) {
      let size = base.size(of: tensors.module)
      let (a, b) = try bases.factors(size, lambda: scales.lambda, gamma: scales.gamma)
      try builder.addLowRank(a, b, scale: scale, to: tensors.module)
    }
    return builder.deltas
  }
}

/// The bases that all modules of a RandLoRA share.
private struct RandomBases {
  let rank: Int
  /// [rank, width]
  private let a: [Float]
  private let width: Int
  /// [height, bases, rank]
  private let b: [Float]
  private let count: Int
  /// U_B or its transpose, by the size of the module.
  private var flat: [[Int]: Tensor] = [:]

  init(
    _ files: inout AdapterFolder, modules: [(module: BaseModule, size: BaseShape.Size)], rank: Int
  ) throws(AdapterError) {
    guard !modules.isEmpty else { throw .noTensors(location: files.tensorsLocation) }
    // The largest size of outputs and that of inputs may be those of different modules.
    let largest = (
      out: modules.reduce(0) { max($0, $1.size.out) }, in: modules.reduce(0) { max($0, $1.size.in) }
    )
    self.rank = rank
    width = min(largest.out, largest.in)
    count = (width + rank - 1) / rank
    let height = max(largest.out, largest.in)
    if try files.config.bool("save_projection", default: true) {
      a = try RandomBases.stored("randlora_A", [rank, 1, width], modules.map(\.module), &files)
      b = try RandomBases.stored("randlora_B", [height, count, rank], modules.map(\.module), &files)
    } else {
      (a, b) = try RandomBases.drawn(files.config, rank: rank, width: width, height: height, count: count)
    }
  }

  /// Takes a tensor of the model and drops its copies for the modules, which must be equal to it.
  private static func stored(
    _ parameter: String, _ shape: [Int], _ modules: [BaseModule], _ files: inout AdapterFolder
  ) throws(AdapterError) -> [Float] {
    let own = try files.requireModelTensor(parameter)
    let values = try files.takeFloats(own, shape: shape)
    for module in modules {
      let name = "\(AdapterFolder.prefix)\(module.path).\(parameter)"
      guard files.has(name) else { continue }
      guard try files.takeFloats(name, shape: shape) == values else {
        throw .duplicateTensor(location: files.tensorsLocation, tensor: name, other: own)
      }
    }
    return values
  }

  private static func drawn(
    _ config: AdapterConfig, rank: Int, width: Int, height: Int, count: Int
  ) throws(AdapterError) -> (a: [Float], b: [Float]) {
    var generator = TorchGenerator(seed: try config.integer("projection_prng_key", default: 0, atLeast: .min))
    if try config.bool("very_sparse") {
      let rarity = Double(width).squareRoot()
      return (signs(rank * width, rarity, &generator), signs(height * count * rank, rarity, &generator))
    }
    if try config.bool("sparse") {
      return (signs(rank * width, 3, &generator), signs(height * count * rank, 3, &generator))
    }
    // torch's kaiming_uniform_ with a slope of sqrt(5), written into BF16.
    let gain = (2.0 / 6).squareRoot()
    let a = generator.kaimingUniform(rank * width, fan: width, gain: gain, rounding: .bf16)
    var b = [Float](repeating: 0, count: height * count * rank)
    for j in 0..<count {
      let basis = generator.kaimingUniform(height * rank, fan: rank, gain: gain, rounding: .bf16)
      for row in 0..<height {
        for i in 0..<rank { b[(row * count + j) * rank + i] = basis[row * rank + i] }
      }
    }
    return (normalized(a, rounding: .bf16), normalized(b, rounding: .bf16))
  }

  /// -1, 0 and 1, of which the outer two have a chance of 1 / (2 `rarity`) each.
  private static func signs(_ count: Int, _ rarity: Double, _ generator: inout TorchGenerator) -> [Float] {
    let (low, high) = (Float(1 / (2 * rarity)), Float(1 - 1 / (2 * rarity)))
    return normalized(
      generator.uniform(count, from: 0, to: 1).map { $0 < low ? -1 : $0 > high ? 1 : 0 }, rounding: .f32)
  }

  /// The numbers divided by their standard deviation, which is itself rounded to the format.
  private static func normalized(_ values: [Float], rounding dtype: DType) -> [Float] {
    let mean = values.reduce(0.0) { $0 + Double($1) } / Double(values.count)
    let square = values.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    let deviation = Float((square / Double(values.count - 1)).squareRoot()).rounded(to: dtype)
    return values.map { ($0 / deviation).rounded(to: dtype) }
  }

  mutating func factors(
    _ size: BaseShape.Size, lambda: [Float], gamma: [Float]
  ) throws(AdapterError) -> (a: Tensor, b: Tensor) {
    let smaller = min(size.out, size.in)
    let count = (smaller + rank - 1) / rank
    let isWide = size.in == smaller
    var own = [Float](repeating: 0, count: count * rank * smaller)
    for i in 0..<rank {
      for j in 0..<count {
        let row = i * count + j
        for m in 0..<smaller {
          own[isWide ? row * smaller + m : m * count * rank + row] =
            lambda[row] * a[i * width + m] * gamma[j * smaller + m]
        }
      }
    }
    let shared = try flattened(max(size.out, size.in), count: count, transposed: !isWide)
    if isWide { return (try makeTensor(own, [count * rank, size.in]), shared) }
    return (shared, try makeTensor(own, [size.out, count * rank]))
  }

  /// U_B [height, count * rank], or its transpose.
  private mutating func flattened(_ height: Int, count: Int, transposed: Bool) throws(AdapterError) -> Tensor {
    let key = [height, count, transposed ? 1 : 0]
    if let tensor = flat[key] { return tensor }
    let columns = count * rank
    var values: [Float] = []
    values.reserveCapacity(height * columns)
    for row in 0..<height { values += b[row * self.count * rank..<row * self.count * rank + columns] }
    let tensor =
      try transposed
      ? makeTensor(LinearAlgebra.transposed(values, rows: height, columns: columns), [columns, height])
      : makeTensor(values, [height, columns])
    flat[key] = tensor
    return tensor
  }
}
