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
    guard let factors = try embeddingFactors(of: embedding, names, options, &folder) else { return }
    var b = factors.b
    if options.usesDoRA {
      let matrix = try builder.embeddingRows()
      let ratio = try ratio(of: embedding, names, factors, &folder, matrix)
      b = try scaleRows(b, by: ratio)
      builder.deltas.embedding.append(.scale(ratio))
    }
    do { builder.deltas.embedding.append(.lowRank(try LowRank(a: factors.a, b: b, scale: factors.scale))) } catch {
      throw .part(location: builder.location, part: embedding.path, error)
    }
  }

  /// The same of learned positions, whose change is kept as a matrix: there are few.
  static func addPositions(
    _ names: LoRATensors.Names, _ options: LoRAOptions, from folder: inout AdapterFolder, to builder: inout DeltaBuilder
  ) throws(AdapterError) {
    guard let positions = builder.base.shape.positions,
      let factors = try embeddingFactors(of: positions, names, options, &folder)
    else { return }
    let hidden = positions.hiddenSize
    var change: [Float]
    do {
      change = try LinearAlgebra.product(
        factors.a.floats(), transposed: true, factors.b.floats(), transposed: true, rows: positions.vocabularySize,
        inner: factors.a.rows, columns: hidden)
    } catch { throw .linearAlgebra(location: builder.location, error) }
    for i in change.indices { change[i] *= factors.scale }
    if options.usesDoRA {
      let own = try builder.values().positions()
      let ratio = try ratio(of: positions, names, factors, &folder) {
        Array(own[$0.lowerBound * hidden..<$0.upperBound * hidden])
      }
      for i in change.indices { change[i] = ratio[i % hidden] * (own[i] + change[i]) - own[i] }
    }
    builder.deltas.embedding.append(.positions(try makeTensor(change, [positions.vocabularySize, hidden])))
  }

  /// nil when the config does not target the embedding, or replaces it.
  static func embeddingFactors(
    of embedding: BaseEmbedding, _ names: LoRATensors.Names, _ options: LoRAOptions, _ folder: inout AdapterFolder
  ) throws(AdapterError) -> Factors? {
    guard !names.isEmpty, try options.target.contains(path: embedding.path), !options.replacements.names(embedding.path)
    else { return nil }
    if options.invocation != nil {
      let option = "alora_invocation_tokens"
      throw .unsupportedOption(
        location: folder.config.location, option: option, expected: "it off where an embedding is targeted",
        found: folder.config[option]?.kind ?? "")
    }
    let rank = try options.ranks.rank(of: embedding.path)
    let scale = try options.ranks.scale(of: embedding.path, rank: rank)
    let a = try LoRATensors.name(.embeddingA, in: names, folder.tensorsLocation)
    let b = try LoRATensors.name(.embeddingB, in: names, folder.tensorsLocation)
    try checkShape(a, rank: rank, axis: 0, other: embedding.vocabularySize, blocks: 1, folder)
    try checkShape(b, rank: rank, axis: 1, other: embedding.hiddenSize, blocks: 1, folder)
    return Factors(a: try folder.takeWeights(a), b: try folder.takeWeights(b), scale: scale)
  }

  /// DoRA's factor of each component: magnitude / |column of E + scale (B A)'|, over all rows of E.
  private static func ratio(
    of embedding: BaseEmbedding, _ names: LoRATensors.Names, _ factors: Factors, _ folder: inout AdapterFolder,
    _ rows: (Range<Int>) -> [Float]
  ) throws(AdapterError) -> [Float] {
    let (hidden, count) = (embedding.hiddenSize, embedding.vocabularySize)
    let name = try LoRATensors.name(.magnitude, in: names, folder.tensorsLocation)
    let magnitude = try folder.takeFloats(name, shape: [hidden])
    let (a, b, rank) = (factors.a.floats(), factors.b.floats(), factors.a.rows)
    var squares = [Double](repeating: 0, count: hidden)
    for first in stride(from: 0, to: count, by: 256) {
      let range = first..<min(first + 256, count)
      let part = (0..<rank).flatMap { a[$0 * count + range.lowerBound..<$0 * count + range.upperBound] }
      let change: [Float]
      do {
        change = try LinearAlgebra.product(
          part, transposed: true, b, transposed: true, rows: range.count, inner: rank, columns: hidden)
      } catch { throw .linearAlgebra(location: folder.tensorsLocation, error) }
      for (index, own) in rows(range).enumerated() {
        let value = Double(own + factors.scale * change[index])
        squares[index % hidden] += value * value
      }
    }
    let ratios = squares.indices.map { Float(Double(magnitude[$0]) / squares[$0].squareRoot()) }
    if let index = ratios.firstIndex(where: { !$0.isFinite }) {
      throw .nonFinite(location: folder.tensorsLocation, tensor: name, index: index)
    }
    return ratios
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
  /// Reads rows of the embedding: of the one that the adapter brings, or of the base's.
  fileprivate func embeddingRows() throws(AdapterError) -> (Range<Int>) -> [Float] {
    for case .replace(let weight) in deltas.embedding { return { weight.slice(rows: $0).floats() } }
    return try values().embedding
  }
}
