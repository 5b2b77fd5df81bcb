// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftTensors

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
    let fusion = try Fusion(
      deltas, scales: scales, shape: shape, sources: sources, biases: Set(biases.keys), writesEmbedding: false)
    for site in fusion.sites {
      guard let source = sources[site], let matrix = matrices[site], let size = shape.shape(of: site) else { continue }
      let weight = try fusion.weight(ModelWeights.values(source), at: site, size: size, pool: pool)
      do { try pack(weight, from: source, into: matrix) } catch { throw .storage(error) }
      guard let storage = biases[site],
        let bias = try fusion.bias(ModelWeights.floats(storage), at: site, size: size)
      else { continue }
      write(bias, to: storage)
    }
    for (site, own) in norms {
      guard let norm = fusion.norm(site, weight: ModelWeights.floats(own.weight), bias: own.bias.map(ModelWeights.floats))
      else {
        continue
      }
      write(norm.weight, to: own.weight)
      if let bias = norm.bias, let storage = own.bias { write(bias, to: storage) }
    }
  }

  /// The format of a matrix; nil where the model has none.
  package func dtype(of site: WeightSite) -> DType? { sources[site]?.tensor.dtype }

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
