// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// The operators of a mixture that become part of a model's weights: checked as a whole before anything is computed.
struct Fusion {
  /// An adapter, with how it takes part: its weights, and where it is active.
  typealias Term = (set: DeltaSet, part: Mixture.Part)

  let terms: [Term]
  /// The linear maps that change, in the order of the model.
  let sites: [WeightSite]
  private let averagesScales: Bool

  /// Throws for what cannot be fused: quantised weights, changes that depend on the token or the sequence, a bias where the
  /// base has none.
  /// - Parameter writesEmbedding: whether changes of the embedding can become part of the weights.
  init(
    _ terms: [Term], scales: Mixture.ScaleRule, shape: BaseShape, sources: [WeightSite: ModelWeights.Source],
    biases: Set<WeightSite>, writesEmbedding: Bool
  ) throws(ModelError) {
    guard Set(shape.layerSources).count == shape.layerCount else {
      throw .notFusable("layers that are repeated and share their weights")
    }
    self.terms = terms
    averagesScales = scales == .average
    sites = Set(terms.flatMap { $0.set.operators.keys }).sorted()
    for (set, _) in terms {
      if let part = writesEmbedding ? set.unwritablePart : set.unfusablePart { throw .notFusable(part) }
    }
    for site in sites {
      guard let source = sources[site] else { continue }
      guard !source.tensor.dtype.isQuantized else {
        throw .fuseNeedsFloat(tensor: source.name, found: source.tensor.dtype.name)
      }
      let operators = terms.flatMap { $0.set.operators[site] ?? [] }
      guard biases.contains(site) || !operators.contains(where: \.makesBias) else {
        throw .notFusable("a bias at \(site), where the base has none")
      }
    }
  }

  private func operators(at site: WeightSite) -> [FusedMap.Term] {
    terms.compactMap { term in term.set.operators[site].map { (weight: term.part.weight(at: site), operators: $0) } }
  }

  /// W + dW [out * in], rows in transformers' order: sums in Float64, rounded once.
  func weight(_ weight: [Float], at site: WeightSite, size: BaseShape.Size, pool: ThreadPool) throws(ModelError) -> [Float] {
    let terms = operators(at: site)
    if let sum = try LowRankSum(terms, site: site, size: size) { return sum.added(to: weight, pool: pool) }
    return try map(weight, bias: nil, site, size, terms).weight
  }

  /// The bias [out] after the mixture; nil when it stays as it is.
  func bias(_ bias: [Float], at site: WeightSite, size: BaseShape.Size) throws(ModelError) -> [Float]? {
    // What is added to W and what replaces it leaves the bias alone, and so does the input's side.
    let terms = operators(at: site).map { term in
      (weight: term.weight, operators: term.operators.filter { $0.changesBias })
    }
    guard terms.contains(where: { !$0.operators.isEmpty }) else { return nil }
    return try map([Float](repeating: 0, count: size.out), bias: bias, site, (size.out, 1), terms).bias
  }

  private func map(
    _ weight: [Float], bias: [Float]?, _ site: WeightSite, _ size: BaseShape.Size, _ terms: [FusedMap.Term]
  ) throws(ModelError) -> FusedMap {
    do { return try FusedMap(weight: weight, bias: bias, size: size, terms: terms, averagesScales: averagesScales) } catch {
      throw .delta(site, error)
    }
  }

  /// A norm after the mixture, as a step uses it; nil when it stays as it is.
  func norm(_ site: NormSite, weight: [Float], bias: [Float]?) -> (weight: [Float], bias: [Float]?)? {
    var result = (weight: weight, bias: bias)
    var isChanged = false
    for norm in terms.compactMap({ $0.set.norms[site] }) {
      isChanged = true
      result = (norm.weight ?? result.weight, result.bias.map { norm.bias ?? $0 })
    }
    for (set, part) in terms {
      guard let sum = set.normSums[site] else { continue }
      isChanged = true
      let share = if case .layer(let layer, _) = site { part.weight(inLayer: layer) } else { part.weight }
      result.weight = zip(result.weight, sum.weight).map { $0 + share * $1 }
      if let change = sum.bias { result.bias = result.bias.map { zip($0, change).map { $0 + share * $1 } } }
    }
    return isChanged ? result : nil
  }

  var changesEmbedding: Bool { terms.contains { !$0.set.embedding.isEmpty } }
}

/// The low-rank changes of one linear map, summed without a matrix in Float64 beside it.
private struct LowRankSum {
  private let factors: [(weight: Double, a: [Float], b: [Float], rank: Int, stride: Int)]
  private let size: BaseShape.Size

  /// Nil when some operator is of another kind.
  init?(_ terms: [FusedMap.Term], site: WeightSite, size: BaseShape.Size) throws(ModelError) {
    self.size = size
    var factors: [(weight: Double, a: [Float], b: [Float], rank: Int, stride: Int)] = []
    for (weight, operators) in terms {
      for delta in operators {
        guard case .lowRank(let low) = delta, delta.fits(size) else { return nil }
        factors.append(
          (
            Double(weight) * Double(low.scale), low.a.floats(), low.b.floats(), low.rank, low.b.columns
          ))
      }
    }
    self.factors = factors
  }

  /// The same additions in the same order as in `FusedMap`.
  func added(to weight: [Float], pool: ThreadPool) -> [Float] {
    let width = size.in
    return [Float](unsafeUninitializedCapacity: weight.count) { buffer, count in
      count = weight.count
      guard let target = buffer.baseAddress else { return }
      pool.run { worker in
        withUnsafeTemporaryAllocation(of: Double.self, capacity: width) { sum in
          worker.slices(size.out, grain: 8) { rows in
            for row in rows { add(row, of: weight, sum, to: target + row * width) }
          }
        }
      }
    }
  }

  private func add(
    _ row: Int, of weight: [Float], _ sum: UnsafeMutableBufferPointer<Double>, to target: UnsafeMutablePointer<Float>
  ) {
    let width = size.in
    weight.withUnsafeBufferPointer { for i in 0..<width { sum[i] = Double($0[row * width + i]) } }
    for (weight, a, b, rank, stride) in factors {
      a.withUnsafeBufferPointer { a in
        for r in 0..<rank {
          let factor = weight * Double(b[row * stride + r])
          for i in 0..<width { sum[i] += factor * Double(a[r * width + i]) }
        }
      }
    }
    for i in 0..<width { target[i] = Float(sum[i]) }
  }
}

extension DeltaOperator {
  /// Whether the map has a bias after it, whatever it had before.
  fileprivate var makesBias: Bool {
    switch self {
    case .bias: true
    case .scale(let delta): delta.shift != nil
    case .lowRank, .gated, .structured, .rotate, .replace: false
    }
  }

  /// Whether a bias that the map has becomes another one.
  fileprivate var changesBias: Bool {
    switch self {
    case .bias: true
    case .scale(let delta): delta.place == .output || delta.shift != nil
    case .rotate(let delta): !delta.form.isOfInput
    case .lowRank, .gated, .structured, .replace: false
    }
  }
}
