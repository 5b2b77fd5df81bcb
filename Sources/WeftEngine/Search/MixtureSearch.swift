// SPDX-License-Identifier: Apache-2.0

internal import WeftTransformer

/// How the weights of a mixture are found from data, by asking the model again and again: no gradients are needed.
public struct MixtureSearch: Sendable {
  /// What is searched, and by what it is judged.
  public enum Method: String, Sendable, CaseIterable {
    /// Weights from 0 to 1, from 0.3 on, that make the model surest of its own answers: no labels are read (AdaMerging, Yang et
    /// al. 2024, https://arxiv.org/abs/2310.02575; there by gradients).
    case adamerging
    /// Weights from -1.5 to 1.5, from 0 on, by the loss on few questions, with 0.05 of their mean magnitude added (LoraHub, Huang
    /// et al. 2024, https://arxiv.org/abs/2307.13269; there factor by factor, here of the changes themselves).
    case lorahub
    /// The mean of the adapters that together have the least loss: the best one first, then each that improves the mean (greedy
    /// soups, Wortsman et al. 2022, https://arxiv.org/abs/2203.05482).
    case soup
  }

  /// What is searched.
  public var method: Method
  /// How often all questions are asked, at most; a soup asks twice for every adapter but one.
  public var evaluations: Int
  /// Groups of layers with weights of their own, of all adapters; not for soups.
  public var layerGroups: Int
  /// Of the entropy, so many first tokens of each answer count.
  public var maximumTokens: Int
  /// Same seed, same questions, same base: the same mixture.
  public var seed: UInt64

  /// A value with these properties.
  public init(_ method: Method, evaluations: Int = 100, layerGroups: Int = 1, maximumTokens: Int = 8, seed: UInt64 = 0) {
    self.method = method
    self.evaluations = evaluations
    self.layerGroups = layerGroups
    self.maximumTokens = maximumTokens
    self.seed = seed
  }
}

/// What a search has found so far.
public struct MixtureSearchResult: Sendable, Hashable {
  /// The best mixture: its text is read by `--mixture` and by `AdapterMixture(parsing:)`.
  public internal(set) var mixture: AdapterMixture
  /// Its value, in nats: the smaller the better.
  public internal(set) var value: Double
  /// Of where the search began: equal weights, the base, or the best adapter alone.
  public internal(set) var startValue: Double
  /// How often the questions were asked.
  public internal(set) var evaluationCount: Int
}

extension Engine {
  /// Finds weights for adapters that are loaded. Weights change from try to try; nothing is loaded again.
  /// - Parameters:
  ///   - questions: answers are not looked at by `adamerging`.
  ///   - onProgress: gets the best so far after every try.
  public func searchMixture(
    of adapters: [String], on questions: [Question], _ search: MixtureSearch,
    onProgress: (MixtureSearchResult) -> Void = { _ in }
  ) throws(EngineError) -> MixtureSearchResult {
    guard !adapters.isEmpty, Set(adapters).count == adapters.count, !questions.isEmpty else {
      throw EngineError(.invalidArgument, "search: expected questions, and adapters each once, found \(adapters)")
    }
    guard search.evaluations >= 1, (1...weights.config.layerCount).contains(search.layerGroups), search.maximumTokens >= 1
    else {
      throw EngineError(
        .invalidArgument,
        "search: expected evaluations and tokens of 1 or more, and 1 to \(weights.config.layerCount) groups of layers, found "
          + "\(search.evaluations), \(search.maximumTokens) and \(search.layerGroups)")
    }
    var result = MixtureSearchResult(mixture: [], value: .infinity, startValue: .infinity, evaluationCount: 0)
    /// Asks all questions, and remembers the best.
    func ask(_ mixture: AdapterMixture, _ value: (AdapterMixture) throws(EngineError) -> Double) throws(EngineError) -> Double {
      let found = try value(mixture)
      if result.evaluationCount == 0 { result.startValue = found }
      result.evaluationCount += 1
      if found < result.value { (result.mixture, result.value) = (mixture, found) }
      onProgress(result)
      return found
    }
    func loss(_ mixture: AdapterMixture) throws(EngineError) -> Double {
      try self.loss(on: questions, activation: .mixture(mixture))
    }
    let count = adapters.count * search.layerGroups
    switch search.method {
    case .adamerging:
      let prompts = questions.map(\.prompt)
      let strategy = EvolutionStrategy(range: 0...1, step: 0.15, evaluations: search.evaluations, seed: search.seed)
      _ = try strategy.minimize(from: [Double](repeating: 0.3, count: count)) { point throws(EngineError) in
        try ask(mixture(adapters, point, groups: search.layerGroups)) { mixture throws(EngineError) in
          try entropy(of: prompts, activation: .mixture(mixture), maximumTokens: search.maximumTokens)
        }
      }
    case .lorahub:
      let strategy = EvolutionStrategy(range: -1.5...1.5, step: 0.3, evaluations: search.evaluations, seed: search.seed)
      _ = try strategy.minimize(from: [Double](repeating: 0, count: count)) { point throws(EngineError) in
        try ask(mixture(adapters, point, groups: search.layerGroups)) { mixture throws(EngineError) in
          try loss(mixture) + 0.05 * point.reduce(0) { $0 + abs($1) } / Double(count)
        }
      }
    case .soup:
      guard search.layerGroups == 1 else {
        throw EngineError(.invalidArgument, "search: a soup is of whole adapters: expected one group of layers")
      }
      var alone: [(name: String, value: Double)] = []
      for name in adapters { alone.append((name, try ask([WeightedAdapter(name)], loss))) }
      var members: [String] = []
      var best = Double.infinity
      // Of equals, the first one named.
      for (name, value) in alone.enumerated().sorted(by: { ($0.element.value, $0.offset) < ($1.element.value, $1.offset) })
        .map(\.element)
      {
        let more = members + [name]
        let mean = AdapterMixture(more.map { WeightedAdapter($0, weight: 1 / Float(more.count)) })
        let found = members.isEmpty ? value : try ask(mean, loss)
        if members.isEmpty { result.startValue = found }
        if found < best { (members, best) = (more, found) }
      }
    }
    return result
  }

  /// A point of the search as a mixture: the weights of the first adapter, group by group, then those of the second. Weights have
  /// three decimals, so that the text of a mixture says all of it; adapters without any weight are left out.
  private func mixture(_ adapters: [String], _ point: [Double], groups: Int) -> AdapterMixture {
    let layers = weights.config.layerCount
    var parts: [WeightedAdapter] = []
    for (index, name) in adapters.enumerated() {
      let own = point[index * groups..<(index + 1) * groups].map { Float(($0 * 1000).rounded() / 1000) }
      guard own.contains(where: { $0 != 0 }) else { continue }
      // What is outside of layers follows the last group.
      let places = own.dropLast().enumerated().map { group, weight in
        WeightedAdapter.Place(layers: [group * layers / groups...(group + 1) * layers / groups - 1], weight: weight)
      }
      parts.append(WeightedAdapter(name, weight: own[groups - 1], places: places))
    }
    return AdapterMixture(parts)
  }
}
