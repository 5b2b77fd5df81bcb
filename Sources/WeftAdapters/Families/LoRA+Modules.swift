// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension LoRA {
  /// The operators of one linear module, in PEFT's order: A and B as stored or in blocks, with KaSA's diagonal; then what
  /// loading takes out of the base; then DoRA's norm over all of it; and B's bias.
  static func addModule(
    _ module: BaseModule, _ names: LoRATensors.Names, _ options: LoRAOptions, from folder: inout AdapterFolder,
    to builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let location = folder.tensorsLocation
    let size = builder.base.size(of: module)
    var factors = try factors(of: module, names, options, from: &folder, builder.base)
    let (rank, scale) = (factors.a.rows, factors.scale)
    if options.residual == .smallest {
      let name = try LoRATensors.name(.diagonal, in: names, location)
      factors.a = try scaleRows(factors.a, by: try folder.takeFloats(name, shape: [rank]))
    }
    if options.residual != .none {
      try builder.requireOwnMatrix(module)
      let weight = try builder.weight(of: module)
      factors = try factors.relative(to: weight, size, rank, options, location)
    }
    if options.usesDoRA {
      let name = try LoRATensors.name(.magnitude, in: names, location)
      let magnitude = try folder.takeFloats(name, shape: [size.out])
      let weight = try builder.weight(of: module)
      let ratio = try factors.ratio(of: magnitude, weight: weight, size, location, tensor: name)
      factors.b = try scaleRows(factors.b, by: ratio)
      try builder.add(to: module) { rows throws(DeltaError) in
        .scale(try ScaleDelta(.product, Array(ratio[rows]), combination: .sum))
      }
    }
    try builder.addLowRank(factors.a, factors.b, scale: factors.scale, to: module)
    if options.hasBias {
      let name = try LoRATensors.name(.bias, in: names, location)
      let values = try folder.takeFloats(name, shape: [size.out]).map { scale * $0 }
      try builder.add(to: module) { rows throws(DeltaError) in .bias(try BiasDelta(Array(values[rows]))) }
    }
  }

  /// A and B of a linear module as the file has them, blocks on their diagonals.
  static func factors(
    of module: BaseModule, _ names: LoRATensors.Names, _ options: LoRAOptions, from folder: inout AdapterFolder,
    _ base: BaseModel
  ) throws(AdapterError) -> Factors {
    let size = base.size(of: module)
    let rank = try options.ranks.rank(of: module.name)
    let scale = try options.ranks.scale(of: module.name, rank: rank)
    let blocks = try options.blocks?.counts(of: module) ?? (a: 1, b: 1)
    let a = try LoRATensors.name(.a, in: names, folder.tensorsLocation)
    let b = try LoRATensors.name(.b, in: names, folder.tensorsLocation)
    // Both shapes before a byte is copied.
    try checkShape(a, rank: rank, axis: 0, other: size.in, blocks: blocks.a, folder)
    try checkShape(b, rank: rank, axis: 1, other: size.out, blocks: blocks.b, folder)
    var factors = Factors(a: try folder.takeFactor(a), b: try folder.takeFactor(b), scale: scale)
    // Only plain LoRA takes them as they are.
    if options.residual != .none || options.usesDoRA || blocks.a > 1 || blocks.b > 1 {
      factors.a = try factors.a.asFloats(columns: factors.a.columns)
      factors.b = try factors.b.asFloats(columns: rank / blocks.b)
    }
    if blocks.a > 1 { factors.a = try LoRABlocks.diagonal(factors.a, count: blocks.a) }
    if blocks.b > 1 { factors.b = try LoRABlocks.diagonal(factors.b, count: blocks.b) }
    return factors
  }

  /// Checks a factor: [rank, other / blocks] where `axis` is 0, [other, rank / blocks] where it is 1.
  static func checkShape(
    _ name: String, rank: Int, axis: Int, other: Int, blocks: Int, _ folder: AdapterFolder
  ) throws(AdapterError) {
    let found = axis == 0 ? folder.shape(of: name) : folder.shape(ofFactor: name, rank: rank / max(blocks, 1))
    let location = folder.tensorsLocation
    let (width, high) = axis == 0 ? (other, rank) : (rank, other)
    let expected = [high, width / blocks]
    // Blocks of rows and of columns both.
    guard width % blocks == 0, high % blocks == 0, found.count == 2, found[1 - axis] == expected[1 - axis] else {
      throw .wrongShape(location: location, tensor: name, expected: expected, found: found)
    }
    guard found[axis] == expected[axis] else {
      throw .wrongRank(location: location, tensor: name, expected: expected[axis], found: found[axis])
    }
  }

  /// diag(factors) M in F32.
  static func scaleRows(_ matrix: Tensor, by factors: [Float]) throws(AdapterError) -> Tensor {
    var values = matrix.floats()
    let width = matrix.columns
    for (row, factor) in factors.enumerated() {
      for i in row * width..<(row + 1) * width { values[i] *= factor }
    }
    return try makeTensor(values, [factors.count, width])
  }

  /// scale * B A of one module.
  struct Factors {
    var a: Tensor
    var b: Tensor
    var scale: Float
  }
}

extension LoRA.Factors {
  /// Together with what loading takes out of the base: [B s, -u] [A; v], with scale 1.
  func relative(
    to weight: [Float], _ size: BaseShape.Size, _ rank: Int, _ options: LoRAOptions, _ location: String
  ) throws(AdapterError) -> LoRA.Factors {
    let removed: (u: [Float], v: [Float], count: Int)
    do {
      removed = try options.residual.factors(
        of: weight, size: size, rank: rank, scale: scale, isTransposed: options.isTransposed)
    } catch { throw .linearAlgebra(location: location, error) }
    let own = b.floats()
    let (left, right) = (b.columns, removed.count)
    var wide: [Float] = []
    wide.reserveCapacity(size.out * (left + right))
    for row in 0..<size.out {
      for r in 0..<left { wide.append(scale * own[row * left + r]) }
      for r in 0..<right { wide.append(-removed.u[row * right + r]) }
    }
    return LoRA.Factors(
      a: try makeTensor(a.floats() + removed.v, [left + right, size.in]),
      b: try makeTensor(wide, [size.out, left + right]), scale: 1)
  }

  /// DoRA's factor of each output (https://arxiv.org/abs/2402.09353): magnitude / |row of W + scale B A|.
  func ratio(
    of magnitude: [Float], weight: [Float], _ size: BaseShape.Size, _ location: String, tensor: String
  ) throws(AdapterError) -> [Float] {
    let (a, b, rank) = (a.floats(), b.floats(), a.rows)
    var ratios: [Float] = []
    ratios.reserveCapacity(size.out)
    for first in stride(from: 0, to: size.out, by: 256) {
      let rows = first..<min(first + 256, size.out)
      let change = try product(
        Array(b[rows.lowerBound * rank..<rows.upperBound * rank]), a, rows.count, rank, size.in, location)
      for row in rows {
        var square = 0.0
        for i in 0..<size.in {
          let value = Double(weight[row * size.in + i] + scale * change[(row - first) * size.in + i])
          square += value * value
        }
        ratios.append(Float(Double(magnitude[row]) / square.squareRoot()))
      }
    }
    if let index = ratios.firstIndex(where: { !$0.isFinite }) {
      throw .nonFinite(location: location, tensor: tensor, index: index)
    }
    return ratios
  }

  private func product(
    _ b: [Float], _ a: [Float], _ rows: Int, _ rank: Int, _ columns: Int, _ location: String
  ) throws(AdapterError) -> [Float] {
    do { return try LinearAlgebra.product(b, a, rows: rows, inner: rank, columns: columns) } catch {
      throw .linearAlgebra(location: location, error)
    }
  }
}

extension DeltaBuilder {
  /// The weight of a module, [out * in]: the one that the adapter brings, or the base's.
  func weight(of module: BaseModule) throws(AdapterError) -> [Float] {
    var weight: [Float] = []
    for site in module.sites {
      var brought: Tensor?
      for case .replace(let new) in deltas.operators[site] ?? [] { brought = new.weight }
      if let brought { weight += brought.floats() } else { weight += try values().weight(site) }
    }
    return weight
  }

  /// Where head and embedding are one matrix, PEFT would take components out of both.
  fileprivate func requireOwnMatrix(_ module: BaseModule) throws(AdapterError) {
    guard base.shape.isTied, module.sites == [.outputHead] else { return }
    throw .notReproducible(
      location: location, reason: "the adapter takes components out of an lm_head that is also the embedding",
      remedy: "save it again in peft with path_initial_model_for_weight_conversion, which makes it a plain LoRA")
  }
}
