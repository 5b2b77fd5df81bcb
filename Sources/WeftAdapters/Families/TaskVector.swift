// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// A whole fine-tuned model as its difference from the base (task arithmetic, https://arxiv.org/abs/2212.04089): a folder or a
/// GGUF file of the same architecture and sizes.
///
/// The load option `task-vector` says what is kept of every linear map: all (`dense`), the largest elements (`sparse:0.2`), or
/// the first singular triples (`rank:16`). Biases, norms, embedding and learned positions are whole differences. What is equal in
/// both models is left out.
enum TaskVector {
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let location = files.path
    guard let values = base.values, let open = base.open else { throw .needsBaseWeights(location: location) }
    let model: BaseModel
    do { model = try open(location) } catch {
      throw .unreadableModel(location: location, reason: error.reason)
    }
    guard let tuned = model.values else { throw .needsBaseWeights(location: location) }
    try requireSameShape(model.shape, as: base.shape, location)
    files.discardAll()
    var deltas = DeltaSet()
    let form = options.taskVector ?? .dense
    for site in base.shape.sites {
      guard let size = base.shape.shape(of: site) else { continue }
      let change = difference(tuned.weight(site), values.weight(site))
      do throws(DeltaError) {
        // A head that is the embedding stays whole like it.
        let own = site == .outputHead && base.shape.isTied ? .dense : form
        if let change { deltas.operators[site, default: []].append(try matrix(change, size, own, at: site)) }
        if let bias = difference(tuned.bias(site), values.bias(site)) {
          deltas.operators[site, default: []].append(.bias(try BiasDelta(bias)))
        }
      } catch { throw .delta(location: location, site: site, error) }
    }
    for norm in base.shape.norms {
      guard let new = tuned.norm(norm.site), let old = values.norm(norm.site), new != old else { continue }
      let zeros = [Float](repeating: 0, count: norm.size)
      do throws(DeltaError) {
        deltas.normSums[norm.site] = try NormSum(
          weight: difference(new.weight, old.weight) ?? zeros, bias: difference(new.bias, old.bias))
      } catch { throw .part(location: location, part: norm.path, error) }
    }
    let embedding = base.shape.embedding
    let all = 0..<embedding.vocabularySize
    if let change = difference(tuned.embedding(all), values.embedding(all)) {
      deltas.embedding.append(.sum(try makeTensor(change, [embedding.vocabularySize, embedding.hiddenSize])))
    }
    if let change = difference(tuned.positions(), values.positions()) {
      deltas.embedding.append(.positions(try makeTensor(change, [change.count / embedding.hiddenSize, embedding.hiddenSize])))
    }
    guard !deltas.isEmpty else { throw .noDifference(location: location) }
    return deltas
  }

  private static func requireSameShape(_ model: BaseShape, as base: BaseShape, _ location: String) throws(AdapterError) {
    func require(_ what: String, _ expected: String, _ found: String) throws(AdapterError) {
      guard expected == found else {
        throw .otherModel(location: location, part: what, expected: expected, found: found)
      }
    }
    try require("layers", "\(base.layerCount)", "\(model.layerCount)")
    try require(
      "embedding", "[\(base.embedding.vocabularySize), \(base.embedding.hiddenSize)]",
      "[\(model.embedding.vocabularySize), \(model.embedding.hiddenSize)]")
    for site in Set(base.sites).union(model.sites).sorted() {
      func text(_ shape: BaseShape) -> String { shape.shape(of: site).map { "[\($0.out), \($0.in)]" } ?? "none" }
      try require("\(site)", text(base), text(model))
    }
    try require("attention", "\(base.attention)", "\(model.attention)")
    try require("norms", "\(base.norms.map(\.site))", "\(model.norms.map(\.site))")
  }

  /// new - old; nil when they are equal, or neither exists. A vector that one of them lacks is zero there.
  private static func difference(_ new: [Float]?, _ old: [Float]?) -> [Float]? {
    guard new != old else { return nil }
    let count = (new ?? old)?.count ?? 0
    let (new, old) = (new ?? [Float](repeating: 0, count: count), old ?? [Float](repeating: 0, count: count))
    return zip(new, old).map { $0 - $1 }
  }

  private static func matrix(
    _ change: [Float], _ size: BaseShape.Size, _ form: TaskVectorForm, at site: WeightSite
  ) throws(DeltaError) -> DeltaOperator {
    switch form {
    case .dense: return try dense(change, size, at: site)
    case .sparse(let share):
      let kept = largest(change, share: share)
      guard site.runsOnlyLowRank else {
        return try structured { () throws(StructuredError) in
          try .sparse(positions: kept, values: kept.map { change[$0] }, out: size.out, in: size.in)
        }
      }
      var sparse = [Float](repeating: 0, count: change.count)
      for position in kept { sparse[position] = change[position] }
      return try dense(sparse, size, at: site)
    case .lowRank(let rank):
      return .lowRank(try truncated(change, size, rank: min(rank, size.out, size.in)))
    }
  }

  /// Experts know only low rank: there the matrix is one factor, and the other is the identity.
  private static func dense(_ change: [Float], _ size: BaseShape.Size, at site: WeightSite) throws(DeltaError) -> DeltaOperator
  {
    let matrix = try tensor(change, [size.out, size.in])
    guard site.runsOnlyLowRank else { return try structured { () throws(StructuredError) in try .dense(matrix) } }
    let rank = min(size.out, size.in)
    var identity = [Float](repeating: 0, count: rank * rank)
    for r in 0..<rank { identity[r * rank + r] = 1 }
    let square = try tensor(identity, [rank, rank])
    return .lowRank(
      size.out < size.in ? try LowRank(a: matrix, b: square, scale: 1) : try LowRank(a: square, b: matrix, scale: 1))
  }

  private static func structured(
    _ make: () throws(StructuredError) -> StructuredMatrix
  ) throws(DeltaError) -> DeltaOperator {
    let matrix: StructuredMatrix
    do throws(StructuredError) { matrix = try make() } catch {
      throw .malformed(factor: "difference", expected: "a matrix", found: error.description)
    }
    return .structured(try StructuredDelta(matrix, scale: 1))
  }

  /// The places of the elements of the largest magnitude, in order; of equal ones the first.
  private static func largest(_ values: [Float], share: Double) -> [Int] {
    let count = max(1, Int(share * Double(values.count)))
    let magnitudes = values.map { abs($0) }
    let threshold = magnitudes.sorted(by: >)[count - 1]
    var kept = magnitudes.indices.filter { magnitudes[$0] > threshold }
    let room = count - kept.count
    kept += magnitudes.indices.lazy.filter { magnitudes[$0] == threshold }.prefix(room)
    return kept.sorted()
  }

  /// U sqrt(S) and sqrt(S) V' of the first singular triples.
  private static func truncated(_ change: [Float], _ size: BaseShape.Size, rank: Int) throws(DeltaError) -> LowRank {
    let parts: SingularValues<Float>
    do { parts = try LinearAlgebra.singularValues(of: change, rows: size.out, columns: size.in) } catch {
      throw .malformed(factor: "difference", expected: "a matrix with singular values", found: error.description)
    }
    let count = min(size.out, size.in)
    let roots = parts.values.prefix(rank).map { $0.squareRoot() }
    var b: [Float] = []
    b.reserveCapacity(size.out * rank)
    for row in 0..<size.out { for r in 0..<rank { b.append(parts.u[row * count + r] * roots[r]) } }
    let a = (0..<rank).flatMap { r in parts.vT[r * size.in..<(r + 1) * size.in].map { $0 * roots[r] } }
    return try LowRank(a: tensor(a, [rank, size.in]), b: tensor(b, [size.out, rank]), scale: 1)
  }

  private static func tensor(_ values: [Float], _ shape: [Int]) throws(DeltaError) -> Tensor {
    do { return try Tensor(values, shape: shape) } catch {
      throw .malformed(factor: "difference", expected: "memory for \(values.count) numbers", found: "\(error)")
    }
  }
}

extension WeightSite {
  /// Experts, whose rows are chosen by token.
  var runsOnlyLowRank: Bool { if case .expert = self { true } else { false } }
}
