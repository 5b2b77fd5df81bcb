// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

extension LoRA {
  /// The change of the embedding: e += scale * B A[:, token], with `lora_embedding_A` [rank, vocabulary] and
  /// `lora_embedding_B` [hidden, rank]; with DoRA, e = ratio * (e + scale * B A[:, token]).
  static func addEmbedding(
    _ names: LoRATensors.Names, _ options: LoRAOptions, from folder: inout AdapterFolder, to builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let embedding = builder.base.shape.embedding
    guard !names.isEmpty, try options.target.contains(path: embedding.path),
      !options.replacements.names(embedding.path)
    else { return }
    let location = folder.tensorsLocation
    if options.invocation != nil {
      throw .unsupportedOption(
        location: folder.config.location, option: "alora_invocation_tokens", expected: "it off where the embedding is targeted",
        found: folder.config["alora_invocation_tokens"]?.kind ?? "")
    }
    let rank = try options.ranks.rank(of: embedding.path)
    let scale = try options.ranks.scale(of: embedding.path, rank: rank)
    let a = try LoRATensors.name(.embeddingA, in: names, location)
    let b = try LoRATensors.name(.embeddingB, in: names, location)
    try checkShape(a, rank: rank, axis: 0, other: embedding.vocabularySize, blocks: 1, folder)
    try checkShape(b, rank: rank, axis: 1, other: embedding.hiddenSize, blocks: 1, folder)
    var factors = Factors(a: try folder.takeWeights(a), b: try folder.takeWeights(b), scale: scale)
    if options.usesDoRA {
      let name = try LoRATensors.name(.magnitude, in: names, location)
      let magnitude = try folder.takeFloats(name, shape: [embedding.hiddenSize])
      let ratio = try builder.ratio(of: magnitude, factors, tensor: name)
      factors.b = try scaleRows(factors.b, by: ratio)
      builder.deltas.embedding.append(.scale(ratio))
    }
    do { builder.deltas.embedding.append(.lowRank(try LowRank(a: factors.a, b: factors.b, scale: scale))) } catch {
      throw .part(location: location, part: embedding.path, error)
    }
  }

  /// On a base whose head is its embedding, `ensure_weight_tying` gives the head the embedding's factors, transposed; most
  /// files hold them once more under the head's name.
  static func tieHead(
    _ tensors: LoRATensors, _ options: LoRAOptions, to builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let shape = builder.base.shape
    guard shape.isTied, let head = shape.modules.first(where: { $0.sites == [.outputHead] }),
      !tensors.modules.contains(where: { $0.module == head })
    else { return }
    for case .lowRank(let factors) in builder.deltas.embedding {
      if options.usesDoRA {
        throw .missingTensor(location: builder.location, tensor: "\(AdapterFolder.prefix)\(head.path).lora_magnitude_vector")
      }
      let (a, b) = (factors.b, factors.a)
      let transposedA = LinearAlgebra.transposed(a.floats(), rows: a.rows, columns: a.columns)
      let transposedB = LinearAlgebra.transposed(b.floats(), rows: b.rows, columns: b.columns)
      try builder.addLowRank(
        try makeTensor(transposedA, [a.columns, a.rows]), try makeTensor(transposedB, [b.columns, b.rows]),
        scale: factors.scale, to: head)
    }
  }
}

extension DeltaBuilder {
  /// DoRA's factor of each component of the embedding: magnitude / |column of E + scale (B A)^T|, over the vocabulary.
  fileprivate func ratio(
    of magnitude: [Float], _ factors: LoRA.Factors, tensor: String
  ) throws(AdapterError) -> [Float] {
    let (hidden, vocabulary) = (base.shape.embedding.hiddenSize, base.shape.embedding.vocabularySize)
    var brought: Tensor?
    for case .replace(let weight) in deltas.embedding { brought = weight }
    let values = brought == nil ? try self.values() : nil
    let (a, b, rank) = (factors.a.floats(), factors.b.floats(), factors.a.rows)
    var squares = [Double](repeating: 0, count: hidden)
    for first in stride(from: 0, to: vocabulary, by: 256) {
      let tokens = first..<min(first + 256, vocabulary)
      let rows = brought?.slice(rows: tokens).floats() ?? values?.embedding(tokens) ?? []
      let part = (0..<rank).flatMap { a[$0 * vocabulary + tokens.lowerBound..<$0 * vocabulary + tokens.upperBound] }
      let change: [Float]
      do {
        change = try LinearAlgebra.product(
          part, transposed: true, b, transposed: true, rows: tokens.count, inner: rank, columns: hidden)
      } catch { throw .linearAlgebra(location: location, error) }
      for index in rows.indices {
        let value = Double(rows[index] + factors.scale * change[index])
        squares[index % hidden] += value * value
      }
    }
    let ratios = squares.indices.map { Float(Double(magnitude[$0]) / squares[$0].squareRoot()) }
    if let index = ratios.firstIndex(where: { !$0.isFinite }) {
      throw .nonFinite(location: location, tensor: tensor, index: index)
    }
    return ratios
  }
}
