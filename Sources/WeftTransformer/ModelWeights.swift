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
    /// GGUF interleaves the two halves of every query and key head; here rows are in transformers' order.
    let rowMap: [Int32]?
  }

  package let config: ModelConfig
  /// [vocabularySize, hiddenSize], in the file.
  package let embedding: Tensor
  private(set) var layers: UnsafeMutablePointer<DecoderLayer>
  let head: LinearGroup
  /// [hiddenSize]
  let outputNorm: UnsafePointer<Float>
  /// True when the head is a matrix of its own.
  package let hasOutputHead: Bool
  private let sources: [WeightSite: Source]
  private let matrices: [WeightSite: PackedMatrix]
  private let vectors: [Storage]
  private let pool: ThreadPool

  /// What deltas may attach to.
  package var shape: BaseShape { config.shape(hasOutputHead: hasOutputHead) }
  /// Names this base: its sizes, and a hash (FNV-1a) of the final norm's values, which every form of a model stores unrounded.
  package var fingerprint: String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for index in 0..<config.hiddenSize {
      hash = (hash ^ UInt64(outputNorm[index].bitPattern)) &* 0x100_0000_01B3
    }
    return "\(config.architecture)-\(config.layerCount)x\(config.hiddenSize)-\(config.vocabularySize)-"
      + String(hash, radix: 16)
  }
  /// Elements of all matrices, biases and norms; a tied head counts once.
  package let parameterCount: Int
  /// Bytes of the packed matrices.
  package var byteCount: Int { matrices.values.reduce(0) { $0 + $1.byteCount } }
  /// The formats of the matrices, with how many there are of each.
  package var formats: [DType: Int] { matrices.values.reduce(into: [:]) { $0[$1.view.dtype, default: 0] += 1 } }

  /// Reads the configuration and all tensors. A tensor that is missing, left over, of a wrong shape or not finite is an error.
  package init(_ checkpoint: Checkpoint, pool: ThreadPool) throws(ModelError) {
    var reader = try WeightReader(checkpoint)
    let config = reader.config
    let embedding = try reader.matrix(.embedding, rows: config.vocabularySize, columns: config.hiddenSize)
    let outputNorm = try reader.vector(.outputNorm, count: config.hiddenSize)
    let head = try reader.head(embedding: embedding)
    var matrices: [WeightSite: PackedMatrix] = [:]
    var sources: [WeightSite: Source] = [.outputHead: head ?? embedding]

    let shape = config.shape(hasOutputHead: head != nil)
    var biases: [WeightSite: Storage] = [:]
    var norms: [(Storage, Storage)] = []
    for layer in 0..<config.layerCount {
      for projection in Projection.allCases {
        let site = WeightSite.layer(layer, projection)
        guard let size = shape.shape(of: site) else { continue }
        sources[site] = try reader.matrix(.weight(layer, projection), rows: size.out, columns: size.in)
        biases[site] = try reader.bias(layer, projection, count: size.out)
      }
      norms.append(
        (
          try reader.vector(.attentionNorm(layer), count: config.hiddenSize),
          try reader.vector(.feedForwardNorm(layer), count: config.hiddenSize)
        ))
    }
    try reader.finish()

    // Everything is known to fit before anything is packed.
    for (site, source) in sources {
      do { matrices[site] = try PackedMatrix(source.tensor, rowMap: source.rowMap, pool: pool) } catch { throw .storage(error) }
      source.tensor.storage.releasePages()
    }
    func linear(_ site: WeightSite) -> Linear {
      Linear(
        weight: matrices[site]!.view,
        bias: biases[site].map { UnsafePointer($0.base.assumingMemoryBound(to: Float.self)) })
    }
    func floats(_ storage: Storage) -> UnsafePointer<Float> { UnsafePointer(storage.base.assumingMemoryBound(to: Float.self)) }
    let keyOffset = MatrixView.padded(config.queryWidth)
    let valueOffset = keyOffset + MatrixView.padded(config.keyValueWidth)
    let layers = UnsafeMutablePointer<DecoderLayer>.allocate(capacity: config.layerCount)
    for layer in 0..<config.layerCount {
      func group(_ group: InputGroup, _ offsets: (Int, Int, Int)) -> LinearGroup {
        let maps = group.projections.map { linear(.layer(layer, $0)) }
        return LinearGroup(
          parts: (maps[0], maps.count > 1 ? maps[1] : nil, maps.count > 2 ? maps[2] : nil), offsets: offsets,
          site: layer * InputGroup.allCases.count + group.rawValue)
      }
      (layers + layer).initialize(
        to: DecoderLayer(
          attentionNorm: floats(norms[layer].0), attention: group(.attention, (0, keyOffset, valueOffset)),
          output: group(.output, (0, 0, 0)), feedForwardNorm: floats(norms[layer].1),
          feedForward: group(.feedForward, (0, MatrixView.padded(config.intermediateSize), 0)),
          down: group(.down, (0, 0, 0))))
    }
    self.config = config
    self.embedding = embedding.tensor
    self.layers = layers
    self.head = LinearGroup(
      parts: (linear(.outputHead), nil, nil), offsets: (0, 0, 0), site: config.layerCount * InputGroup.allCases.count)
    self.outputNorm = floats(outputNorm)
    self.hasOutputHead = head != nil
    self.sources = sources
    self.matrices = matrices
    self.pool = pool
    parameterCount =
      (head == nil ? 0 : embedding.tensor.elementCount) + sources.values.reduce(0) { $0 + $1.tensor.elementCount }
      + config.hiddenSize * (2 * config.layerCount + 1) + biases.keys.reduce(0) { $0 + (shape.shape(of: $1)?.out ?? 0) }
    vectors = norms.flatMap { [$0.0, $0.1] } + [outputNorm] + Array(biases.values)
  }

  deinit { layers.deallocate() }

  /// Puts W + sum of weight * dW into the packed weights of every site that the delta sets name. Float bases only.
  /// The deltas are summed in f64 and rounded to f32; W + dW is rounded once more into the file's type.
  package func fuse(_ deltas: [(set: DeltaSet, weight: Float)]) throws(ModelError) {
    let sites = Set(deltas.flatMap { $0.set.operators.keys }).sorted()
    for site in sites {
      guard let source = sources[site] else { continue }
      guard !source.tensor.dtype.isQuantized else {
        throw .fuseNeedsFloat(tensor: source.name, found: source.tensor.dtype.name)
      }
    }
    for site in sites {
      guard let source = sources[site], let matrix = matrices[site] else { continue }
      let terms = deltas.compactMap { delta in delta.set.operators[site].map { (weight: delta.weight, delta: $0) } }
      let change = DeltaOperator.materialize(sumOf: terms)
      var values = source.tensor.floats()
      let columns = source.tensor.columns
      for row in 0..<source.tensor.rows {
        let target = source.rowMap.map { Int($0[row]) } ?? row
        for column in 0..<columns { values[target * columns + column] += change[row * columns + column] }
      }
      do {
        let fused = try Tensor(rounding: values, shape: source.tensor.shape, to: source.tensor.dtype)
        matrix.repack(fused, rowMap: source.rowMap, pool: pool)
      } catch { throw .storage(error) }
    }
  }

  /// Packs the file's weights again at every site of the delta sets: the base as it was, bit for bit.
  package func unfuse(_ deltas: [DeltaSet]) {
    for site in Set(deltas.flatMap { $0.operators.keys }) {
      guard let source = sources[site] else { continue }
      matrices[site]?.repack(source.tensor, rowMap: source.rowMap, pool: pool)
    }
  }
}
