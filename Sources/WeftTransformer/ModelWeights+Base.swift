// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftFormats
internal import WeftTensors

extension ModelWeights {
  /// What adapters are read for, of a model that is not packed.
  /// - Parameter layers: as in `init`.
  package static func base(of checkpoint: Checkpoint, layers: [Int]? = nil) throws(ModelError) -> BaseModel {
    base(of: try WeightSources(checkpoint, readsValues: true, layers: layers))
  }

  /// Reads a model like that of `base`, without packing it: a fine-tuned one, whose weights are compared with the base's.
  private static func open(_ path: String) throws(BaseModel.OpenError) -> BaseModel {
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint(path: path) } catch { throw BaseModel.OpenError(reason: error.description) }
    do { return try base(of: checkpoint) } catch { throw BaseModel.OpenError(reason: error.description) }
  }

  /// The values are those of the file, whatever is fused: biases and norms are copied, matrices are read from the file.
  static func base(of parts: WeightSources) -> BaseModel {
    let (sources, embedding, positions) = (parts.matrices, parts.embedding.tensor, parts.positions?.tensor)
    let biases = parts.biases.mapValues(floats)
    let norms = parts.normSources.mapValues { (weight: floats($0.weight), bias: $0.bias.map(floats)) }
    let values = BaseModel.Values(
      weight: { site in sources[site].map(ModelWeights.values) ?? [] }, bias: { site in biases[site] },
      embedding: { tokens in embedding.slice(rows: tokens).floats() },
      norm: { site in
        guard let norm = norms[site] else { return nil }
        // Norms of a file are finite, and as long as their biases: this cannot fail.
        return try? NormReplacement(weight: norm.weight, bias: norm.bias)
      }, positions: { positions?.floats() ?? [] })
    return BaseModel(
      shape: parts.shape, values: values, open: { path throws(BaseModel.OpenError) in try open(path) },
      fingerprint: parts.fileFingerprint)
  }

  /// W [out * in] of the file, in transformers' order of rows.
  static func values(_ source: Source) -> [Float] {
    let values = source.tensor.floats()
    guard let map = source.rowMap else { return values }
    let columns = source.tensor.columns
    return map.flatMap { values[Int($0) * columns..<(Int($0) + 1) * columns] }
  }

  static func floats(_ storage: Storage) -> [Float] {
    Array(UnsafeRawBufferPointer(storage.bytes).bindMemory(to: Float.self))
  }
}
