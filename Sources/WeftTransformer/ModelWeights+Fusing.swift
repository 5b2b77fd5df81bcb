// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
internal import WeftTensors

extension ModelWeights {
  /// Works the operators of a mixture into the packed weights, biases and norms of every place that they name. Float bases
  /// only. Sums are made in f64 and rounded to f32, and once more into the file's type.
  ///
  /// Throws for what cannot be fused, before anything is changed: quantised weights, changes that depend on the token or the
  /// sequence, a bias where the base has none.
  /// - Parameter deltas: each with how it takes part: its weights, and where it is active.
  package func fuse(
    _ deltas: [(set: DeltaSet, part: Mixture.Part)], scales: Mixture.ScaleRule = .multiply
  ) throws(ModelError) {
    guard Set(shape.layerSources).count == shape.layerCount else {
      throw .notFusable("layers that are repeated and share their weights")
    }
    let sites = Set(deltas.flatMap { $0.set.operators.keys }).sorted()
    for (set, _) in deltas {
      if let part = set.unfusablePart { throw .notFusable(part) }
    }
    for site in sites {
      guard let source = sources[site] else { continue }
      guard !source.tensor.dtype.isQuantized else {
        throw .fuseNeedsFloat(tensor: source.name, found: source.tensor.dtype.name)
      }
      let operators = deltas.flatMap { $0.set.operators[site] ?? [] }
      guard biases[site] != nil || !operators.contains(where: \.makesBias) else {
        throw .notFusable("a bias at \(site), where the base has none")
      }
    }
    for site in sites {
      guard let source = sources[site], let matrix = matrices[site], let size = shape.shape(of: site) else { continue }
      let terms = deltas.compactMap { delta in
        delta.set.operators[site].map { (weight: delta.part.weight(at: site), operators: $0) }
      }
      let map: FusedMap
      do {
        map = try FusedMap(
          weight: ModelWeights.values(source), bias: biases[site].map(ModelWeights.floats), size: size, terms: terms,
          averagesScales: scales == .average)
      } catch { throw .delta(site, error) }
      do { try pack(map.weight, from: source, into: matrix) } catch { throw .storage(error) }
      if let bias = map.bias, let storage = biases[site] { write(bias, to: storage) }
    }
    for (site, norm) in deltas.flatMap({ $0.set.norms }) {
      guard let own = norms[site] else { continue }
      if let weight = norm.weight { write(weight, to: own.weight) }
      if let bias = norm.bias, let storage = own.bias { write(bias, to: storage) }
    }
    addNorms(deltas)
  }

  /// Adds what several adapters add to norms.
  private func addNorms(_ deltas: [(set: DeltaSet, part: Mixture.Part)]) {
    for (set, part) in deltas {
      for (site, sum) in set.normSums {
        guard let own = norms[site] else { continue }
        let weight = if case .layer(let layer, _) = site { part.weight(inLayer: layer) } else { part.weight }
        write(zip(ModelWeights.floats(own.weight), sum.weight).map { $0 + weight * $1 }, to: own.weight)
        if let bias = sum.bias, let storage = own.bias {
          write(zip(ModelWeights.floats(storage), bias).map { $0 + weight * $1 }, to: storage)
        }
      }
    }
  }

  /// Packs the file's weights again at every site of the delta sets: the base as it was, bit for bit.
  package func unfuse(_ deltas: [DeltaSet]) {
    for site in Set(deltas.flatMap { $0.operators.keys }) {
      guard let source = sources[site] else { continue }
      matrices[site]?.repack(source.tensor, rowMap: source.rowMap, pool: pool)
    }
    // The oldest copy is the file's.
    for (storage, values) in unfused.reversed() { ModelWeights.copy(values, to: storage) }
    unfused = []
  }

  /// Packs W' [out * in], whose rows are in transformers' order, in the type of the file.
  private func pack(_ weight: [Float], from source: Source, into matrix: PackedMatrix) throws(StorageError) {
    let columns = source.tensor.columns
    var values = weight
    if let map = source.rowMap {
      for (row, target) in map.enumerated() {
        for column in 0..<columns { values[Int(target) * columns + column] = weight[row * columns + column] }
      }
    }
    let fused = try Tensor(rounding: values, shape: source.tensor.shape, to: source.tensor.dtype)
    matrix.repack(fused, rowMap: source.rowMap, pool: pool)
  }

  private func write(_ values: [Float], to storage: Storage) {
    unfused.append((storage, ModelWeights.floats(storage)))
    ModelWeights.copy(values, to: storage)
  }

  private static func copy(_ values: [Float], to storage: Storage) {
    values.withUnsafeBytes { storage.base.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
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
}
