// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftFormats
package import WeftTensors

/// A float checkpoint with a mixture worked into its tensors, one at a time as they are asked for.
///
/// Tensors keep the names and the layout that they have in the file: rows of queries and keys in the file's order, matrices
/// that a file stores under each other or transposed as they lie there, norms without what the architecture adds to them.
package struct FusedCheckpoint {
  /// Consecutive rows of a tensor after the mixture.
  package struct Piece {
    /// The same rows of the file.
    package let before: Tensor
    /// In F32.
    package let load: () throws(ModelError) -> Tensor
  }

  package let checkpoint: Checkpoint
  let sources: WeightSources
  private let fusion: Fusion
  private let pool: ThreadPool
  /// Biases and norms that change, as a step uses them.
  let vectors: [TensorUse.Part: [Float]]
  /// Whether the head was the embedding, and no longer is.
  package private(set) var separatesHead = false

  /// The name of the head's weight in this form of file, where it has one of its own.
  package var headName: String { sources.headName }

  /// Rows of the embedding that are made at a time.
  private static let embeddingRows = 4096

  /// Checks that the mixture can become part of the file; nothing large is computed, unless a tied head has to be compared with
  /// the embedding.
  /// - Parameter terms: each with how it takes part.
  package init(
    _ weights: CheckpointWeights, _ terms: [(set: DeltaSet, part: Mixture.Part)], scales: Mixture.ScaleRule, pool: ThreadPool
  ) throws(ModelError) {
    checkpoint = weights.checkpoint
    sources = weights.sources
    self.pool = pool
    fusion = try Fusion(
      terms, scales: scales, shape: sources.shape, sources: sources.matrices, biases: Set(sources.biases.keys),
      writesEmbedding: true)
    for tensor in [sources.embedding] + (sources.positions.map { [$0] } ?? []) {
      guard fusion.changesEmbedding, tensor.tensor.dtype.isQuantized else { continue }
      throw .fuseNeedsFloat(tensor: tensor.name, found: tensor.tensor.dtype.name)
    }
    vectors = try FusedCheckpoint.vectors(fusion, sources)
    if sources.head == nil { separatesHead = try !headIsEmbedding() }
  }

  private static func vectors(_ fusion: Fusion, _ sources: WeightSources) throws(ModelError) -> [TensorUse.Part: [Float]] {
    var vectors: [TensorUse.Part: [Float]] = [:]
    for (site, storage) in sources.biases {
      guard let size = sources.shape.shape(of: site) else { continue }
      vectors[.bias(site)] = try fusion.bias(ModelWeights.floats(storage), at: site, size: size)
    }
    for (site, norm) in sources.normSources {
      let (weight, bias) = (ModelWeights.floats(norm.weight), norm.bias.map(ModelWeights.floats))
      guard let changed = fusion.norm(site, weight: weight, bias: bias) else { continue }
      vectors[.normWeight(site)] = changed.weight
      if let bias = changed.bias { vectors[.normBias(site)] = bias }
    }
    return vectors
  }

  // MARK: - Parts of the model

  /// Whether this part is another one than in the file.
  package func changes(_ part: TensorUse.Part) -> Bool {
    switch part {
    case .matrix(let site): fusion.sites.contains(site) || site == .outputHead && separatesHead
    case .bias, .normWeight, .normBias: vectors[part] != nil
    case .embedding: changesEmbedding { if case .positions = $0 { false } else { true } }
    case .positions: changesEmbedding { if case .positions = $0 { true } else { false } }
    }
  }

  private func changesEmbedding(_ counts: (EmbeddingDelta) -> Bool) -> Bool {
    fusion.terms.contains { $0.part.embeddingWeight != 0 && $0.set.embedding.contains(where: counts) }
  }

  /// A matrix after the mixture, rows in transformers' order; nil when it is what it was.
  package func pieces(of part: TensorUse.Part) -> [Piece]? {
    guard changes(part) else { return nil }
    switch part {
    case .matrix(let site):
      guard let source = sources.matrices[site] else { return nil }
      return [Piece(before: source.tensor) { () throws(ModelError) in try matrix(site, source) }]
    case .embedding: return rows(of: sources.embedding.tensor, isPositions: false)
    case .positions: return sources.positions.map { rows(of: $0.tensor, isPositions: true) }
    case .bias, .normWeight, .normBias: return nil
    }
  }

  private func matrix(_ site: WeightSite, _ source: ModelWeights.Source) throws(ModelError) -> Tensor {
    let values = ModelWeights.values(source)
    guard fusion.sites.contains(site), let size = sources.shape.shape(of: site) else {
      return try tensor(values, source.tensor.shape)
    }
    return try tensor(fusion.weight(values, at: site, size: size, pool: pool), [size.out, size.in])
  }

  private func rows(of tensor: Tensor, isPositions: Bool) -> [Piece] {
    stride(from: 0, to: tensor.rows, by: FusedCheckpoint.embeddingRows).map { first in
      let range = first..<min(first + FusedCheckpoint.embeddingRows, tensor.rows)
      let before = tensor.slice(rows: range)
      return Piece(before: before) { () throws(ModelError) in
        var embedding = EmbeddingRows(before.floats(), first: first, width: tensor.columns)
        for (set, part) in fusion.terms where part.embeddingWeight != 0 {
          for delta in set.embedding { embedding.apply(delta, weight: part.embeddingWeight, toPositions: isPositions) }
        }
        return try self.tensor(embedding.values, before.shape)
      }
    }
  }

  /// Whether the embedding and the tied head are still one matrix after the mixture.
  private func headIsEmbedding() throws(ModelError) -> Bool {
    let changes = (head: fusion.sites.contains(.outputHead), embedding: changes(.embedding))
    guard changes.head || changes.embedding else { return true }
    guard changes.head && changes.embedding, let source = sources.matrices[.outputHead] else { return false }
    let head = try matrix(.outputHead, source)
    var first = 0
    for piece in pieces(of: .embedding) ?? [] {
      let rows = try piece.load()
      guard rows.floats() == head.slice(rows: first..<first + rows.rows).floats() else { return false }
      first += rows.rows
    }
    return true
  }

  // MARK: - Tensors of the file

  /// A tensor of the file after the mixture, all its rows one piece after the other; nil when it is what it was.
  package func pieces(ofTensor name: String) throws(ModelError) -> [Piece]? {
    guard let file = checkpoint.tensors[name], let uses = sources.uses[name]?.sorted(by: { $0.first < $1.first }),
      uses.contains(where: { changes($0.part) })
    else { return nil }
    if uses.allSatisfy(\.isOfVector) {
      return [Piece(before: file) { () throws(ModelError) in try vector(file, uses) }]
    }
    if let use = uses.first, use.part == .embedding || use.part == .positions { return pieces(of: use.part) }
    if uses.contains(where: \.isTransposed) {
      return [Piece(before: file) { () throws(ModelError) in try transposed(file, uses) }]
    }
    // One row may be stored as a vector.
    let isRow = file.shape.count == 1
    return uses.map { use in
      let before = isRow ? file : file.slice(rows: use.first..<use.first + use.count)
      guard case .matrix(let site) = use.part, changes(use.part), let source = sources.matrices[site] else {
        return Piece(before: before) { () throws(ModelError) in try tensor(before.floats(), before.shape) }
      }
      return Piece(before: before) { () throws(ModelError) in
        let fused = try matrix(site, source)
        return try tensor(use.inFileOrder(fused.floats(), width: fused.columns), before.shape)
      }
    }
  }

  private func vector(_ file: Tensor, _ uses: [TensorUse]) throws(ModelError) -> Tensor {
    var values = file.floats()
    for use in uses {
      guard let changed = vectors[use.part] else { continue }
      let ordered = use.inFileOrder(changed, width: 1)
      for i in 0..<use.count { values[use.first + i] = ordered[i] - use.offset }
    }
    return try tensor(values, file.shape)
  }

  private func transposed(_ file: Tensor, _ uses: [TensorUse]) throws(ModelError) -> Tensor {
    var values = file.floats()
    let stride = file.columns
    for use in uses {
      guard case .matrix(let site) = use.part, changes(use.part), let source = sources.matrices[site] else { continue }
      let fused = try matrix(site, source).floats()
      let width = file.rows
      for row in 0..<use.count {
        for column in 0..<width { values[column * stride + use.first + row] = fused[row * width + column] }
      }
    }
    return try tensor(values, file.shape)
  }

  private func tensor(_ values: [Float], _ shape: [Int]) throws(ModelError) -> Tensor {
    do { return try Tensor(values, shape: shape) } catch { throw .storage(error) }
  }
}

/// A checkpoint whose tensors are found and checked, to be fused or read for adapters.
package struct CheckpointWeights {
  package let checkpoint: Checkpoint
  let sources: WeightSources
  /// What adapters are read for.
  package let base: BaseModel
  package let config: ModelConfig

  package init(_ checkpoint: Checkpoint) throws(ModelError) {
    self.checkpoint = checkpoint
    sources = try WeightSources(checkpoint, readsValues: true)
    base = ModelWeights.base(of: sources)
    config = sources.config
  }

  /// Names the base, as `ModelWeights.fingerprint` does.
  package var fingerprint: String {
    ModelWeights.fingerprint(config, norm: ModelWeights.floats(sources.outputNorm.weight))
  }
}

extension TensorUse {
  fileprivate var isOfVector: Bool {
    switch part {
    case .bias, .normWeight, .normBias: true
    case .matrix, .embedding, .positions: false
    }
  }

  /// Rows of `width` numbers in transformers' order, as the file orders them.
  fileprivate func inFileOrder(_ values: [Float], width: Int) -> [Float] {
    guard let rowMap else { return values }
    var ordered = values
    for (row, target) in rowMap.enumerated() {
      for column in 0..<width { ordered[Int(target) * width + column] = values[row * width + column] }
    }
    return ordered
  }
}
