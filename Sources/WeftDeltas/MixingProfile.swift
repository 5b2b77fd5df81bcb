// SPDX-License-Identifier: Apache-2.0

/// Where an adapter has something of which a mixture takes one: made when it is loaded, so that activating a mixture looks at a few
/// words and not at operators.
package struct MixingProfile: Sendable {
  /// What there is one of.
  package enum Kind: Hashable, Sendable, CaseIterable {
    case inputRotation, outputRotation, replacedWeight, replacedBias, replacedNorm
    case replacedEmbedding, scaledEmbedding, rotatedEmbedding
    case prompt, gatedPrompt
    /// Experts that a pass over the base chooses. They may have any weight.
    case gates

    /// For messages.
    package var name: String {
      switch self {
      case .inputRotation: "a rotation of the input"
      case .outputRotation: "a rotation of the output"
      case .replacedWeight: "a weight of its own"
      case .replacedBias: "a bias of its own"
      case .replacedNorm: "a norm of its own"
      case .replacedEmbedding: "embeddings of its own"
      case .scaledEmbedding: "a scale of the embedding"
      case .rotatedEmbedding: "a rotation of the embedding"
      case .prompt: "a prompt"
      case .gatedPrompt: "a gated prompt"
      case .gates: "experts that the base chooses"
      }
    }

    /// Whether a stack may have several.
    var isOrdered: Bool {
      switch self {
      case .inputRotation, .outputRotation, .rotatedEmbedding: true
      case .replacedWeight, .replacedBias, .replacedNorm, .replacedEmbedding, .scaledEmbedding, .prompt, .gatedPrompt, .gates:
        false
      }
    }
  }

  /// Where a claim lies, and which weight of a mixture counts there.
  enum Place: Equatable, Sendable {
    case site(WeightSite)
    case norm(NormSite)
    case layer(Int)
    case embedding
    /// A row of the embedding.
    case token(Int32)
    case sequence

    var name: String {
      switch self {
      case .site(let site): "\(site)"
      case .norm(.layer(let layer, let role)): "the \(role) norm of layer \(layer)"
      case .norm(.output): "the last norm"
      case .layer(let layer): "layer \(layer)"
      case .embedding: "the embedding"
      case .token(let token): "token \(token)"
      case .sequence: "the beginning of the sequence"
      }
    }

    /// A number of its own among the places of a kind; rising in the order of the model.
    var number: Int {
      switch self {
      case .site(.layer(let layer, let projection)): layer << 32 | projection.rawValue
      case .site(.expert(let layer, let expert, let projection)): layer << 32 | (expert + 1) << 8 | projection.rawValue
      case .norm(.layer(let layer, let role)): layer << 32 | role.rawValue
      case .layer(let layer): layer << 32
      case .site(.outputHead), .norm(.output): Int.max
      case .token(let token): Int(token)
      case .embedding, .sequence: -1
      }
    }

    func weight(in part: Mixture.Part) -> Float {
      switch self {
      case .site(let site): part.weight(at: site)
      case .norm(.layer(let layer, _)), .layer(let layer): part.weight(inLayer: layer)
      case .norm(.output), .sequence: part.weight(inLayer: nil)
      case .embedding, .token: part.embeddingWeight
      }
    }
  }

  /// All places of a kind, each once, in order, with their numbers.
  struct Claim: Sendable {
    let kind: Kind
    let places: [Place]
    let numbers: [Int]

    init(_ kind: Kind, _ places: [Place]) {
      self.kind = kind
      self.places = places
      numbers = places.map(\.number)
    }
  }

  let claims: [Claim]

  /// Whether there is nothing of which a mixture takes one.
  package var isFree: Bool { claims.isEmpty }

  package init(_ deltas: DeltaSet) {
    var places: [Kind: [Place]] = [:]
    func claim(_ kind: Kind, _ place: Place) {
      if places[kind]?.last != place { places[kind, default: []].append(place) }
    }
    for site in deltas.sites {
      for delta in deltas.operators[site] ?? [] {
        switch delta {
        case .lowRank, .gated, .structured, .scale: break
        case .rotate(let rotation): claim(rotation.form.isOfInput ? .inputRotation : .outputRotation, .site(site))
        case .bias(let bias): if bias.isReplacement { claim(.replacedBias, .site(site)) }
        case .replace: claim(.replacedWeight, .site(site))
        }
      }
    }
    for delta in deltas.embedding {
      switch delta {
      case .lowRank, .sum, .positions: break
      case .rows(let tokens, _): for token in tokens { claim(.replacedEmbedding, .token(token)) }
      case .replace: claim(.replacedEmbedding, .embedding)
      case .scale: claim(.scaledEmbedding, .embedding)
      case .rotate: claim(.rotatedEmbedding, .embedding)
      }
    }
    for norm in deltas.norms.keys.sorted(by: { $0.order < $1.order }) { claim(.replacedNorm, .norm(norm)) }
    for layer in deltas.gatedPrompts.keys.sorted() { claim(.gatedPrompt, .layer(layer)) }
    if deltas.prompt != nil { claim(.prompt, .sequence) }
    if deltas.classifier != nil { claim(.gates, .sequence) }
    claims = Kind.allCases.compactMap { kind in places[kind].map { Claim(kind, $0) } }
  }

  /// Refuses what has no meaning: two of a kind at one place, and a weight for what has no parts. `profiles` are those of the parts,
  /// in order.
  package static func validate(_ mixture: Mixture, _ profiles: [MixingProfile]) throws(MixingError) {
    for index in mixture.parts.indices where !profiles[index].isFree {
      let part = mixture.parts[index]
      try profiles[index].validateWeights(part)
      for other in 0..<index where !profiles[other].isFree {
        try profiles[index].validate(part, beside: mixture.parts[other], profiles[other])
      }
    }
  }

  private func validateWeights(_ part: Mixture.Part) throws(MixingError) {
    if part.isUniform, part.weight == 1 || part.weight == 0 { return }
    for claim in claims where claim.kind != .gates {
      for place in claim.places {
        let weight = place.weight(in: part)
        guard weight == 0 || weight == 1 else {
          throw .weight(adapter: part.adapter, kind: claim.kind, place: place.name, found: weight)
        }
      }
    }
  }

  private func validate(_ part: Mixture.Part, beside other: Mixture.Part, _ profile: MixingProfile) throws(MixingError) {
    for claim in claims {
      guard let taken = profile.claims.first(where: { $0.kind == claim.kind }),
        !claim.kind.isOrdered || part.level == other.level
      else { continue }
      guard
        let place = claim.common(
          with: taken, where: { claim.kind == .gates || ($0.weight(in: part) != 0 && $0.weight(in: other) != 0) })
      else {
        continue
      }
      throw .conflict(adapters: [other.adapter, part.adapter], kind: claim.kind, place: place.name)
    }
  }
}

extension MixingProfile.Claim {
  /// The first place that both have and that counts. An embedding of its own, number -1, has every token.
  fileprivate func common(with other: Self, where counts: (MixingProfile.Place) -> Bool) -> MixingProfile.Place? {
    if kind == .replacedEmbedding, let first = numbers.first, let second = other.numbers.first, min(first, second) < 0 {
      return counts(places[0]) ? places[0] : nil
    }
    var (mine, theirs) = (0, 0)
    while mine < numbers.count, theirs < other.numbers.count {
      if numbers[mine] < other.numbers[theirs] {
        mine += 1
      } else if numbers[mine] > other.numbers[theirs] {
        theirs += 1
      } else {
        if counts(places[mine]) { return places[mine] }
        (mine, theirs) = (mine + 1, theirs + 1)
      }
    }
    return nil
  }
}

extension NormSite {
  /// As the model uses them.
  fileprivate var order: (Int, Int) {
    switch self {
    case .layer(let layer, let role): (layer, role.rawValue)
    case .output: (Int.max, 0)
    }
  }
}
