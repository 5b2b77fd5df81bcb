// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftFusion
internal import WeftTransformer

/// How adapters become one: a method by its name, with what it can be told.
public struct CompositeMethod: Sendable, Hashable {
  /// As `weft merge --method` knows it: `ties`, `dare_linear`, `svd`.
  public var name: String
  /// `factors`, `delta` or `concat`, where several methods have this name; nil for the first of them.
  public var space: String?
  /// Values by name, as `density`.
  public var parameters: [String: Float]
  /// The rank of the result; nil for the largest of the adapters where the method works on changes, else what it makes.
  public var rank: Int?
  /// Of everything random.
  public var seed: UInt64

  /// A value with these properties.
  public init(_ name: String, space: String? = nil, parameters: [String: Float] = [:], rank: Int? = nil, seed: UInt64 = 0) {
    self.name = name
    self.space = space
    self.parameters = parameters
    self.rank = rank
    self.seed = seed
  }
}

extension Engine {
  /// Makes one adapter of the low-rank adapters of a mixture, with their weights, and installs it: exactly, of their ranks together,
  /// or cut to the best changes of a rank. One that is there already, of the same versions of the same adapters, is kept.
  ///
  /// It lives in the budget for adapters as others do, and goes as others go when it was not used for long.
  /// - Returns: the name that requests use.
  public func composite(of mixture: AdapterMixture, rank: Int? = nil) throws(EngineError) -> String {
    let activated = try activated(mixture)
    let name = compositeName(activated, rank: rank)
    if adapterPool[name] != nil { return name }
    let shape: CompositeShape
    do { shape = try CompositeShape(activated, base: weights.shape, groups: weights.inputGroups, rank: rank) } catch {
      throw EngineError(
        .unsupported, "composite of \(mixture): expected low-rank adapters side by side, found that \(error.reason)")
    }
    let deltas: DeltaSet
    if shape.isCut, let rank {
      // Weights of places are worked in first: a merge knows one weight for each adapter.
      var sources: [MergeSource] = []
      for (part, adapter) in zip(activated.mixture.parts, activated.adapters) {
        sources.append(
          MergeSource(name: adapter.name, weight: 1, content: .deltas(try adapter.deltas().weighted(by: part))))
      }
      deltas = try merged(sources, CompositeMethod("cat", rank: rank))
    } else {
      deltas = try joined(activated)
    }
    try install(deltas, name: name, family: "composite", content: "\(activated.mixture)")
    return name
  }

  /// Merges the adapters of a mixture by a method and installs the result under a name. When the same was made before, of the
  /// same versions of the adapters, nothing is done.
  /// - Parameter mixture: loaded adapters side by side, each with one weight for all places.
  public func composite(_ name: String, of mixture: AdapterMixture, method: CompositeMethod) throws(EngineError) {
    guard Mixture.isName(name), !mixture.adapters.contains(where: { $0.name == name }) else {
      throw EngineError(.invalidArgument, "composite: expected a name that adapters can have, and a new one, found '\(name)'")
    }
    let activated = try activated(mixture)
    guard !activated.mixture.isStacked, activated.mixture.parts.allSatisfy(\.isUniform), !activated.adapters.isEmpty else {
      throw EngineError(
        .unsupported, "composite of \(mixture): expected adapters side by side with one weight each, found another mixture")
    }
    let content = "\(method.text) \(activated.contentText)"
    if adapterPool[name] != nil, compositeContents[name] == content { return }
    var sources: [MergeSource] = []
    for (part, adapter) in zip(activated.mixture.parts, activated.adapters) {
      sources.append(
        MergeSource(
          name: adapter.name, weight: part.weight, content: .deltas(try adapter.deltas()), baseModel: adapter.adapter.baseModel,
          path: adapter.path))
    }
    try install(try merged(sources, method), name: name, family: method.name, content: "\(method.text) \(activated.mixture)")
    compositeContents[name] = content
  }

  /// The name of a mixture's composite: made of the mixture and of what its adapters were when it was made.
  func compositeName(_ activated: ActivatedMixture, rank: Int?) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in "\(activated.contentText) \(rank ?? 0)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return "composite-" + String(hash, radix: 16)
  }

  private func joined(_ activated: ActivatedMixture) throws(EngineError) -> DeltaSet {
    var terms: [WeightSite: [(weight: Float, factors: LowRank)]] = [:]
    for (part, adapter) in zip(activated.mixture.parts, activated.adapters) {
      for (site, operators) in try adapter.deltas().operators {
        let weight = part.weight(at: site)
        for case .lowRank(let factors) in operators where weight != 0 { terms[site, default: []].append((weight, factors)) }
      }
    }
    var deltas = DeltaSet()
    for (site, list) in terms {
      do { deltas.operators[site] = [.lowRank(try LowRank(joining: list))] } catch {
        throw EngineError(.outOfMemory, "composite: \(site): \(error)")
      }
    }
    return deltas
  }

  private func merged(_ sources: [MergeSource], _ method: CompositeMethod) throws(EngineError) -> DeltaSet {
    var space: MergeSpace?
    if let name = method.space {
      space = MergeSpace(rawValue: name)
      guard space != nil else {
        let names = MergeSpace.allCases.map(\.rawValue).joined(separator: ", ")
        throw EngineError(.invalidArgument, "space: expected \(names), found '\(name)'")
      }
    }
    do {
      let merge = AdapterMerge(
        method: try MergeMethod.named(method.name, space: space), parameters: MergeParameters(method.parameters),
        rank: method.rank, seed: method.seed)
      return try merge(sources, base: weights.base).deltas()
    } catch { throw EngineError(error) }
  }

  private func install(_ deltas: DeltaSet, name: String, family: String, content: String) throws(EngineError) {
    let adapter = Adapter(
      name: name, deltas: deltas, baseModel: nil, family: family, provenance: .init(folder: content, peftVersion: nil))
    try install(adapterLoader.prepare(adapter, from: content, pool: pool))
  }
}

extension CompositeMethod {
  /// Everything that decides about the result.
  var text: String {
    let values = parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    return ([name, space ?? "", "rank=\(rank ?? 0)", "seed=\(seed)"] + values).joined(separator: " ")
  }
}

extension ActivatedMixture {
  /// The mixture and the versions of its adapters.
  var contentText: String { "\(mixture) \(adapters.map { "\($0.version)" }.joined(separator: " "))" }
}

extension DeltaSet {
  /// Its low ranks with the weights of a part of a mixture.
  fileprivate func weighted(by part: Mixture.Part) throws(EngineError) -> DeltaSet {
    var result = DeltaSet()
    for (site, list) in operators {
      let weight = part.weight(at: site)
      for case .lowRank(let factors) in list where weight != 0 {
        do {
          result.operators[site, default: []].append(
            .lowRank(try LowRank(a: factors.a, b: factors.b, scale: factors.scale * weight)))
        } catch { throw EngineError(.corruptFile, "composite: \(site): \(error)") }
      }
    }
    return result
  }
}
