// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// Where every weight of a model is in its checkpoint: what there is before anything is packed.
struct WeightSources {
  let config: ModelConfig
  let embedding: ModelWeights.Source
  /// nil when there are no learned positions.
  let positions: ModelWeights.Source?
  /// nil when the head is the embedding.
  let head: ModelWeights.Source?
  let groups: [[WeightSite]]
  /// All matrices that are packed.
  let matrices: [WeightSite: ModelWeights.Source]
  let biases: [WeightSite: Storage]
  let norms: [LayerNorms]
  let outputNorm: WeightReader.NormSource
  let shape: BaseShape
  /// Bytes of matrices that the file has transposed: their copies stay beside the packed ones, for `unfuse`.
  let transposedBytes: Int
  /// Tensors of parts that Weft does not run.
  let otherPartTensors: Int

  /// Reads the configuration and finds all tensors. A tensor that is missing, left over or of a wrong shape is an error.
  /// - Parameter readsValues: false to learn sizes only: then values are neither checked nor transposed.
  init(_ checkpoint: Checkpoint, readsValues: Bool) throws(ModelError) {
    var reader = try WeightReader(checkpoint, readsValues: readsValues)
    config = reader.config
    embedding = try reader.embedding()
    positions = try reader.positions()
    head = try reader.head(embedding: embedding)
    groups = config.inputGroups
    var matrices: [WeightSite: ModelWeights.Source] = [.outputHead: head ?? embedding]
    var biases: [WeightSite: Storage] = [:]
    for site in groups.joined() where site != .outputHead {
      matrices[site] = try reader.linear(site)
      biases[site] = try reader.bias(site)
    }
    self.matrices = matrices
    self.biases = biases
    norms = try LayerNorms.read(&reader)
    outputNorm = try reader.outputNorm()
    try reader.finish()
    shape = config.shape(
      isTied: head == nil, names: reader.architecture.names, interleavesHeads: reader.architecture.interleavesHeads)
    transposedBytes = reader.transposedBytes
    otherPartTensors = reader.otherPartTensors
  }

  /// Every norm, by its place.
  var normSources: [NormSite: WeightReader.NormSource] {
    var sources: [NormSite: WeightReader.NormSource] = [.output: outputNorm]
    for (layer, norms) in norms.enumerated() {
      for role in NormRole.allCases { sources[.layer(layer, role)] = norms.source(role) }
    }
    return sources
  }

  /// Norms and biases.
  var vectors: [Storage] { norms.flatMap(\.storages) + outputNorm.storages + Array(biases.values) }
  /// Tensors that steps read from the file: rows of the embedding, and of learned positions.
  var mapped: [Tensor] { [embedding.tensor] + (positions.map { [$0.tensor] } ?? []) }
}
