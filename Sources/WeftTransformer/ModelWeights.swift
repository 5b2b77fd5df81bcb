// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftFormats
package import WeftTensors

/// Every weight of a model: packed for the kernels, beside the file tensors they come from.
///
/// The mapped file stays the master: `fuse` packs W + dW from it, and `unfuse` packs it again, so that fusing is reversible bit
/// for bit.
package final class ModelWeights: @unchecked Sendable {
  /// A matrix in the file, and where its rows go when packed.
  struct Source {
    let name: String
    let tensor: Tensor
    /// GGUF interleaves the two halves of query and key heads of some models; here rows are in transformers' order.
    let rowMap: [Int32]?
  }

  package let config: ModelConfig
  /// [vocabularySize, hiddenSize], in the file.
  package let embedding: Tensor
  /// Learned positions [positionRows, hiddenSize], in the file; nil when there are none.
  let positions: Tensor?
  let layers: UnsafeMutablePointer<DecoderLayer>
  let head: LinearGroup
  let outputNorm: DecoderLayer.Norm
  /// True when the head is a matrix of its own.
  package var hasOutputHead: Bool { !shape.isTied }
  /// What adapters are read for: the shape, and the values of the file.
  package let base: BaseModel
  /// What deltas may attach to.
  package var shape: BaseShape { base.shape }
  /// What reads the same activations: `ResidentAdapter` is made for it.
  package let inputGroups: [[WeightSite]]
  let sources: [WeightSite: Source]
  let matrices: [WeightSite: PackedMatrix]
  /// Those that repeated layers share, once.
  private let distinctMatrices: [WeightSite: PackedMatrix]
  let biases: [WeightSite: Storage]
  let norms: [NormSite: WeightReader.NormSource]
  /// Biases and norms as they were before `fuse` wrote them.
  var unfused: [(storage: Storage, values: [Float])] = []
  private let expertGroups: [UnsafeMutablePointer<LinearGroup>]
  let pool: ThreadPool

  /// Names this base: its sizes, and a hash (FNV-1a) of the final norm's values, which every form of a model stores unrounded.
  package var fingerprint: String {
    ModelWeights.fingerprint(config, norm: UnsafeBufferPointer(start: outputNorm.weight, count: config.hiddenSize))
  }

  static func fingerprint(_ config: ModelConfig, norm: some Sequence<Float>) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for value in norm { hash = (hash ^ UInt64(value.bitPattern)) &* 0x100_0000_01B3 }
    return "\(config.architecture)-\(config.layerCount)x\(config.hiddenSize)-\(config.vocabularySize)-"
      + String(hash, radix: 16)
  }
  /// Tensors of the checkpoint that belong to parts which Weft does not run (images).
  package let otherPartTensors: Int
  /// Elements of all matrices, biases and norms; a tied head counts once.
  package let parameterCount: Int
  /// Whether any product rounds its activations to bf16.
  package let roundsActivations: Bool
  /// Bytes of the packed matrices.
  package var byteCount: Int { distinctMatrices.values.reduce(0) { $0 + $1.byteCount } }
  /// The formats of the matrices, with how many there are of each.
  package var formats: [DType: Int] { distinctMatrices.values.reduce(into: [:]) { $0[$1.view.dtype, default: 0] += 1 } }

  /// Reads the configuration and all tensors. A tensor that is missing, left over, of a wrong shape or not finite is an error.
  /// - Parameters:
  ///   - layers: the layers of the file that the model runs, in order, with repetitions, which share their weights; nil for all of
  ///     them once.
  ///   - roundsActivations: whether products with bf16 weights round their activations to bf16; false to read F32.
  package init(
    _ checkpoint: Checkpoint, layers: [Int]? = nil, roundsActivations: Bool = true, pool: ThreadPool
  ) throws(ModelError) {
    let parts = try WeightSources(checkpoint, readsValues: true, layers: layers)
    let config = parts.config
    // Everything is known to fit before anything is packed.
    var matrices = try ModelWeights.pack(parts, roundsActivations: roundsActivations, pool)
    let packed = matrices
    for (site, origin) in parts.origins { matrices[site] = packed[origin] }
    for tensor in parts.mapped { tensor.storage.fetch(tensor.offset..<tensor.offset + tensor.byteCount) }
    let assembly = LayerAssembly(config: config, groups: parts.groups, matrices: matrices, biases: parts.biases)
    let layers = UnsafeMutablePointer<DecoderLayer>.allocate(capacity: config.layerCount)
    var expertGroups: [UnsafeMutablePointer<LinearGroup>] = []
    for layer in 0..<config.layerCount {
      (layers + layer).initialize(to: assembly.layer(layer, parts.norms[layer], &expertGroups))
    }
    self.config = config
    self.roundsActivations = packed.values.contains { $0.view.inputForm == .rounded }
    self.embedding = parts.embedding.tensor
    self.positions = parts.positions?.tensor
    self.layers = layers
    head = assembly.group(parts.groups.count - 1)
    outputNorm = parts.outputNorm.view
    base = ModelWeights.base(of: parts)
    inputGroups = parts.groups
    sources = parts.matrices
    otherPartTensors = parts.otherPartTensors
    self.matrices = matrices
    distinctMatrices = packed
    self.expertGroups = expertGroups
    self.pool = pool
    biases = parts.biases
    norms = parts.normSources
    parameterCount =
      (parts.head == nil ? 0 : embedding.elementCount) + (positions?.elementCount ?? 0)
      + packed.keys.reduce(0) { $0 + (parts.matrices[$1]?.tensor.elementCount ?? 0) }
      + parts.vectors.reduce(0) { $0 + $1.bytes.count / 4 }
  }

  /// All matrices in one piece of memory, in the order in which a step reads them: it comes in large pages, and what is read ahead at
  /// the end of one matrix is the next.
  private static func pack(
    _ parts: WeightSources, roundsActivations: Bool, _ pool: ThreadPool
  ) throws(ModelError) -> [WeightSite: PackedMatrix] {
    let sources = parts.distinctSites.compactMap { site in parts.matrices[site].map { (site: site, source: $0) } }
    let storage: Storage
    do {
      storage = try Storage(unwritten: sources.reduce(0) { $0 + PackedMatrix.room(for: $1.source.tensor) })
    } catch { throw .storage(error) }
    var packed: [WeightSite: PackedMatrix] = [:]
    var offset = 0
    for (site, source) in sources {
      packed[site] = PackedMatrix(
        source.tensor, rowMap: source.rowMap, roundsInput: roundsActivations && !site.isScore, in: storage, at: offset,
        pool: pool)
      offset += PackedMatrix.room(for: source.tensor)
      source.tensor.storage.releasePages()
    }
    return packed
  }

  deinit {
    layers.deallocate()
    for group in expertGroups { group.deallocate() }
  }
}

extension WeightSite {
  /// Scores of experts decide who computes: they are not rounded, and GGUF stores their weights in F32.
  var isScore: Bool {
    switch self {
    case .layer(_, .router), .layer(_, .sharedExpertGate): true
    case .layer, .expert, .outputHead: false
    }
  }
}
