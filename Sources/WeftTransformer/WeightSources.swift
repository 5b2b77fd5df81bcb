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
  /// Every matrix. Layers that are repeated have those of the layer that they repeat.
  let matrices: [WeightSite: ModelWeights.Source]
  /// The first place of each matrix: the place itself, but in repeated layers.
  let origins: [WeightSite: WeightSite]
  let biases: [WeightSite: Storage]
  let norms: [LayerNorms]
  let outputNorm: WeightReader.NormSource
  let shape: BaseShape
  /// Bytes of matrices that the file has transposed: their copies stay beside the packed ones, for `unfuse`.
  let transposedBytes: Int
  /// What is taken of every tensor of the file.
  let uses: [String: [TensorUse]]
  /// The name of the head's weight in this form of file, where it has one of its own.
  let headName: String
  /// Tensors of parts that Weft does not run.
  let otherPartTensors: Int

  /// Names the base as the file has it: with its own layers.
  let fileFingerprint: String

  /// Reads the configuration and finds all tensors. A tensor that is missing, left over or of a wrong shape is an error.
  /// - Parameters:
  ///   - readsValues: false to learn sizes only: then values are neither checked nor transposed.
  ///   - layers: the layers of the file that the model runs, in order, with repetitions; nil for all of them once.
  init(_ checkpoint: Checkpoint, readsValues: Bool, layers: [Int]? = nil) throws(ModelError) {
    var reader = try WeightReader(checkpoint, readsValues: readsValues)
    let stack = try LayerStack(layers, of: reader.config, location: checkpoint.path)
    config = stack.config
    embedding = try reader.embedding()
    positions = try reader.positions()
    head = try reader.head(embedding: embedding)
    groups = config.inputGroups
    var matrices: [WeightSite: ModelWeights.Source] = [.outputHead: head ?? embedding]
    var biases: [WeightSite: Storage] = [:]
    var origins: [WeightSite: WeightSite] = [.outputHead: .outputHead]
    for site in reader.config.inputGroups.joined() where site != .outputHead {
      let (source, bias) = (try reader.linear(site), try reader.bias(site))
      let copies = stack.copies(of: site)
      for copy in copies {
        matrices[copy] = source
        biases[copy] = bias
        origins[copy] = copies[0]
      }
    }
    self.matrices = matrices
    self.biases = biases
    self.origins = origins
    let fileNorms = try LayerNorms.read(&reader)
    norms = stack.sources.map { fileNorms[$0] }
    outputNorm = try reader.outputNorm()
    fileFingerprint = ModelWeights.fingerprint(reader.config, norm: ModelWeights.floats(outputNorm.weight))
    try reader.finish()
    shape = config.shape(
      isTied: head == nil, names: reader.architecture.names, interleavesHeads: reader.architecture.interleavesHeads,
      layerSources: stack.sources)
    uses = reader.uses
    headName = reader.headName
    transposedBytes = reader.transposedBytes
    otherPartTensors = reader.otherPartTensors
  }

  /// The places of the matrices that differ, in the order in which a step reads them.
  var distinctSites: [WeightSite] { groups.joined().filter { origins[$0] == $0 } }

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
