// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftFormats
package import WeftTensors

/// What the weights of a checkpoint will take in memory, found without reading or packing them.
package struct WeightSizes: Sendable {
  package let config: ModelConfig
  /// What deltas may attach to, and what reads the same activations (as in `ModelWeights`).
  package let shape: BaseShape
  package let inputGroups: [[WeightSite]]
  /// Packed matrices of every format: how many, and bytes.
  package let packed: [DType: (count: Int, byteCount: Int)]
  /// Whether products may round their activations to bf16.
  package let allowsRounding: Bool
  /// Bytes of transposed copies.
  package let transposedBytes: Int
  /// Bytes of norms and biases.
  package let vectorBytes: Int
  /// Bytes of tensors that steps read from the mapped file.
  package let mappedBytes: Int

  /// - Parameter layers: as in `ModelWeights`.
  package init(_ checkpoint: Checkpoint, layers: [Int]? = nil) throws(ModelError) {
    let sources = try WeightSources(checkpoint, readsValues: false, layers: layers)
    config = sources.config
    shape = sources.shape
    inputGroups = sources.groups
    var packed: [DType: (count: Int, byteCount: Int)] = [:]
    var allowsRounding = false
    for site in sources.distinctSites {
      guard let source = sources.matrices[site] else { continue }
      if source.tensor.dtype == .bf16 && !site.isScore { allowsRounding = true }
      let bytes = PackedMatrix.room(for: source.tensor)
      packed[source.tensor.dtype, default: (0, 0)].count += 1
      packed[source.tensor.dtype, default: (0, 0)].byteCount += bytes
    }
    self.packed = packed
    self.allowsRounding = allowsRounding
    transposedBytes = sources.transposedBytes
    vectorBytes = sources.vectors.reduce(0) { $0 + $1.bytes.count }
    mappedBytes = sources.mapped.reduce(0) { $0 + $1.byteCount }
  }
}
