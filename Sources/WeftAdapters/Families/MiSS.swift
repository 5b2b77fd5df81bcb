// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// MiSS (https://arxiv.org/abs/2409.15371), once called Bone: y += block' times the sum of the chunks of r inputs.
///
/// Tensor per module: `miss_block`,
/// - [r, out]: D[:, j] = block[j mod r], which is exactly of rank r;
/// - [r, mini_r] (`init_weights` "mini"): the same with the block repeated along the output;
/// - [out / r, r, r] ("bat"): every r x r tile T of the base in row band o changes by T B_o + B_o.
enum MiSS {
  private static let rules = AdapterConfig.rules(
    read: ["r", "mini_r", "init_weights"],
    inert: ["miss_dropout"])

  private enum Form { case whole, mini, bat }

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let form = try form(config)
    let rank = try config.integer("r", default: 64, atLeast: 1)
    let repeated = try config.integer("mini_r", default: 1, atLeast: 1)
    // Modules with one input share the matrix that sums its chunks.
    var sums: [Int: Tensor] = [:]
    let modules = try files.targetedModules(["miss_block"], base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let (module, size) = (tensors.module, base.size(of: tensors.module))
      let name = try tensors.name("miss_block")
      if case .bat = form {
        try addBat(name, rank, to: module, &builder, &files)
        continue
      }
      guard rank <= size.in else {
        throw builder.malformed("r", expected: "at most \(size.in)", found: "\(rank)", module)
      }
      let columns = form == .mini ? repeated : size.out
      guard size.out % columns == 0 else {
        throw builder.malformed("mini_r", expected: "a divisor of \(size.out)", found: "\(columns)", module)
      }
      let block = try files.takeFloats(name, shape: [rank, columns])
      let transposed = (0..<size.out * rank).map { block[$0 % rank * columns + $0 / rank % columns] }
      let sum: Tensor
      if let known = sums[size.in] {
        sum = known
      } else {
        sum = try makeTensor((0..<rank * size.in).map { $0 % size.in % rank == $0 / size.in ? 1 : 0 }, [rank, size.in])
        sums[size.in] = sum
      }
      try builder.addLowRank(sum, try makeTensor(transposed, [size.out, rank]), scale: 1, to: module)
    }
    return builder.deltas
  }

  private static func addBat(
    _ name: String, _ rank: Int, to module: BaseModule, _ builder: inout DeltaBuilder, _ files: inout AdapterFolder
  ) throws(AdapterError) {
    let size = builder.base.size(of: module)
    guard size.out % rank == 0, size.in % rank == 0 else {
      throw builder.malformed("r", expected: "a divisor of [\(size.out), \(size.in)]", found: "\(rank)", module)
    }
    let blocks = try files.takeFloats(name, shape: [size.out / rank, rank, rank])
    let weight = try builder.values().weight(of: module)
    var delta: [Float] = []
    delta.reserveCapacity(weight.count)
    let band = rank * size.in
    for o in 0..<size.out / rank {
      let block = Array(blocks[o * rank * rank..<(o + 1) * rank * rank])
      // The tiles of a band lie beside each other in every row: all rows of all tiles are one matrix [r in / r, r].
      var product = try builder.solving { () throws(LinearAlgebraError) in
        try LinearAlgebra.product(
          Array(weight[o * band..<(o + 1) * band]), block, rows: size.in, inner: rank, columns: rank)
      }
      for i in product.indices { product[i] += block[i / size.in * rank + i % rank] }
      delta += product
    }
    try builder.addDense(delta, to: module)
  }

  private static func form(_ config: AdapterConfig) throws(AdapterError) -> Form {
    guard let value = config["init_weights"], value.bool == nil else { return .whole }
    switch value.string {
    case "mini": return .mini
    case "bat": return .bat
    default: throw config.malformed("init_weights", expected: "true, false, \"mini\" or \"bat\"", found: value)
    }
  }
}
