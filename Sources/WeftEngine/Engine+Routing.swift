// SPDX-License-Identifier: Apache-2.0

internal import WeftRouting
internal import WeftTokenizers
internal import WeftTransformer

/// A router that is loaded.
public struct RouterSummary: Sendable {
  /// What it chooses from; `none` is the base alone.
  public let adapters: [String]
  /// The decoder layer whose output it reads.
  public let featureLayer: Int
  /// Length of the features: the hidden size of the base.
  public let featureSize: Int
  /// Width of the residual stream.
  public let hiddenSize: Int
  /// Choices are kept until their probabilities reach this.
  public let topP: Float
}

extension Engine {
  /// The loaded router.
  public var routerSummary: RouterSummary? {
    router.map {
      RouterSummary(
        adapters: $0.adapters, featureLayer: $0.featureLayer, featureSize: $0.featureSize, hiddenSize: $0.hiddenSize,
        topP: $0.topP)
    }
  }

  /// Loads a router made by `weft router train` on this base. Replaces the one before.
  /// - Parameter companions: adapters that act beside whatever it chooses, and are none of its choices: what the experts of
  ///   Twin-Merging share.
  public func loadRouter(from path: String, beside companions: [WeightedAdapter] = []) throws(EngineError) {
    let router: Router
    do { router = try Router(file: path) } catch { throw EngineError(error) }
    guard router.base == weights.fingerprint else {
      throw EngineError(
        .invalidArgument, "\(path): expected a router for base \(weights.fingerprint), found one for \(router.base)")
    }
    guard router.featureSize == weights.config.hiddenSize, (1...weights.config.layerCount).contains(router.featureLayer) else {
      throw EngineError(
        .corruptFile,
        "\(path): expected features of size \(weights.config.hiddenSize) after a layer from 1 to \(weights.config.layerCount), "
          + "found size \(router.featureSize) after layer \(router.featureLayer)")
    }
    if let choice = companions.first(where: { router.adapters.contains($0.name) }) {
      throw EngineError(
        .invalidArgument, "router: expected beside it adapters that it does not choose from, found \(choice.name)")
    }
    try validate(AdapterMixture(companions))
    self.router = router
    routerCompanions = companions
  }

  /// Forgets the router.
  public func unloadRouter() {
    router = nil
    routerCompanions = []
  }

  /// The router's probability for each of its choices on a text, in its own order; `none` is the base alone.
  public func routerProbabilities(_ text: String) throws(EngineError) -> [WeightedAdapter] {
    let router = try requireRouter()
    let features = try features(of: text, layer: router.featureLayer)
    return zip(router.adapters, router.probabilities(features: features)).map { WeightedAdapter($0, weight: $1) }
  }

  /// The mixture that would be activated for a text: the router's choice, and what acts beside it.
  public func route(_ text: String) throws(EngineError) -> [WeightedAdapter] {
    let router = try requireRouter()
    let features = try features(of: text, layer: router.featureLayer)
    return routerCompanions + router.mixture(features: features).map { WeightedAdapter($0.adapter, weight: $0.weight) }
  }

  /// What a router sees of a text: the base's residual stream after `layer` layers, averaged over the tokens. [hiddenSize]
  public func features(of text: String, layer: Int) throws(EngineError) -> [Float] {
    guard (1...weights.config.layerCount).contains(layer) else {
      throw EngineError(.invalidArgument, "layer: expected 1 to \(weights.config.layerCount), found \(layer)")
    }
    let tokens = try tokenize(text, addSpecial: true)
    guard !tokens.isEmpty else { throw EngineError(.invalidArgument, "text: expected at least one token, found none") }
    return features(of: tokens, layer: layer)
  }

  func requireRouter() throws(EngineError) -> Router {
    guard let router else {
      throw EngineError(.notFound, "router: none is loaded; train one with `weft router train`, or name the adapters")
    }
    return router
  }

  /// Averages the residual stream of the base over the last `routingWindow` tokens. Writes only the routing blocks.
  func features(of tokens: [Int32], layer: Int) -> [Float] {
    let window = Array(tokens.suffix(Engine.routingWindow))
    var sums = [Double](repeating: 0, count: weights.config.hiddenSize)
    var done = 0
    while done < window.count {
      let count = min(batch.maximumRows, window.count - done)
      batch.removeAll()
      batch.layerLimit = layer
      routingBlocks.withUnsafeBufferPointer { table in
        window.withUnsafeBufferPointer { tokens in
          guard let table = table.baseAddress else { return }
          batch.append(
            tokens: UnsafeBufferPointer(rebasing: tokens[done..<done + count]), firstPosition: done, blockTable: table,
            mixture: nil, logits: .none)
        }
      }
      transformer.forward(batch)
      for row in 0..<count {
        let hidden = transformer.hidden(row)
        for index in sums.indices { sums[index] += Double(hidden[index]) }
      }
      done += count
    }
    return sums.map { Float($0 / Double(max(window.count, 1))) }
  }

  /// Lets the router choose for a sequence that waits for it: from the prompt, and what was answered since.
  func routeIfNeeded(_ sequence: TokenSequence) throws(EngineError) {
    guard sequence.needsRouting else { return }
    sequence.needsRouting = false
    let router = try requireRouter()
    let seen = sequence.routingTokens + sequence.tokens[sequence.promptCount...]
    let choice = router.mixture(features: features(of: seen, layer: router.featureLayer))
    let mixture = AdapterMixture(routerCompanions + choice.map { WeightedAdapter($0.adapter, weight: $0.weight) })
    guard mixture != sequence.result.mixtures.last?.mixture else { return }
    let activated = try activated(mixture)
    try activate(activated, in: sequence)
    sequence.pendingActivation = activated.canonical
  }

  /// The adapters of an activation, and what to tell about them: nothing yet where the router will choose. Everything that could
  /// fail later is refused here.
  func activated(_ activation: Activation) throws(EngineError) -> (ActivatedMixture, AdapterMixture?) {
    switch activation {
    case .base: return (.base, [])
    case .mixture(let mixture):
      let activated = try activated(mixture)
      return (activated, activated.canonical)
    case .routed, .routedPerSentence:
      let router = try requireRouter()
      let names = router.adapters.filter { $0 != Router.none } + routerCompanions.map(\.name)
      for name in names where adapterPool[name] == nil {
        if adapterPool.evicted[name] != nil { throw adapterPool.unknown(name) }
        throw EngineError(
          .notFound,
          "router: adapter \(name) is one of its choices, or acts beside them, and is not loaded; load it, or name the adapters"
        )
      }
      return (.base, nil)
    }
  }

  /// The tokens that the router reads: of the last message of the user, or of the whole prompt.
  func routingTokens(_ prompt: GenerationRequest.Prompt, _ tokens: [Int32]) -> [Int32] {
    guard case .messages(let messages) = prompt, let last = messages.last(where: { $0.role == "user" }) else { return tokens }
    return tokenizer?.encode(last.content, addSpecial: true, parseSpecial: false) ?? tokens
  }

  /// Whether a piece of an answer closes a sentence.
  static func endsSentence(_ text: String) -> Bool {
    guard let last = text.unicodeScalars.last(where: { $0 != " " && $0 != "\"" && $0 != ")" }) else { return false }
    return ".!?\n。！？".unicodeScalars.contains(last)
  }
}
