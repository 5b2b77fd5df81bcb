// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftTransformer

extension Engine {
  /// Resolves the names of a mixture and checks that its parts go together.
  func activated(_ requested: AdapterMixture) throws(EngineError) -> ActivatedMixture {
    if let activated = adapterPool.activated(requested) { return activated }
    let mixture = try requested.canonical()
    guard !mixture.parts.isEmpty else { return .base }
    do { try mixture.validate(layerCount: weights.config.layerCount) } catch { throw EngineError(error) }
    let activated = ActivatedMixture(mixture: mixture, adapters: try adapterPool.adapters(of: mixture))
    do { try MixingProfile.validate(mixture, activated.adapters.map(\.profile)) } catch { throw EngineError(error) }
    adapterPool.remember(requested, activated)
    return activated
  }

  /// Refuses a mixture that could not be activated now: names that are not loaded, layers that the base does not have, parts that do
  /// not go together.
  public func validate(_ mixture: AdapterMixture) throws(EngineError) {
    _ = try phases(activated(mixture), prompt: [], behind: 0)
  }

  /// Gives a sequence other adapters from its next position on. What has to be there from its beginning can be chosen until it has
  /// begun: a prompt of an adapter, and gates that read the base.
  func activate(_ activated: ActivatedMixture, in sequence: TokenSequence) throws(EngineError) {
    let isNew = sequence.blocks.isEmpty
    if isNew {
      try checkContext(sequence.promptCount, activated)
    } else {
      for (adapter, own) in [
        (activated.promptAdapter, sequence.prefixAdapter), (activated.gateAdapter, sequence.gateAdapter),
      ] {
        guard let adapter, adapter !== own else { continue }
        throw EngineError(
          .busy,
          "adapter \(adapter.name): expected a sequence that has not begun, because it acts from the beginning, found \(sequence.id)"
        )
      }
    }
    let count = isNew ? activated.promptAdapter?.promptCount ?? 0 : sequence.prefix.count
    var phases = try phases(activated, prompt: sequence.prompt, behind: count, reusing: sequence.phases)
    if isNew {
      sequence.begin(with: activated, positionLimit: positionLimit(activated))
    } else if activated.promptAdapter == nil, count > 0 {
      // Its prompt stays what it was.
      phases[0] = sequence.phases[0]
    }
    sequence.activate(activated, phases)
  }

  /// Positions that a sequence can have: with gates, each takes its place in the KV cache twice.
  func positionLimit(_ activated: ActivatedMixture) -> Int {
    guard activated.gateAdapter != nil else { return contextLength }
    return min(contextLength, (blocks.blockCount - routingBlocks.count) / 2 * BlockManager.blockTokens)
  }

  /// Refuses a prompt that does not fit, with what adapters ask for beside it.
  func checkContext(_ tokenCount: Int, _ activated: ActivatedMixture) throws(EngineError) {
    let (limit, count) = (positionLimit(activated), activated.promptAdapter?.promptCount ?? 0)
    guard tokenCount + count < limit else {
      let reasons =
        (activated.promptAdapter.map { " behind \(count) of adapter \($0.name)" } ?? "")
        + (activated.gateAdapter.map { " with gates of adapter \($0.name)" } ?? "")
      throw EngineError(
        .invalidArgument,
        "prompt: expected fewer tokens than the context of \(limit), found \(tokenCount)\(reasons); "
          + "shorten it, begin a new conversation, or open the engine with a longer context "
          + "(the model allows \(model.trainedContextLength))")
    }
    if let gates = activated.gateAdapter, let prompt = activated.promptAdapter {
      throw EngineError(
        .unsupported,
        "mixture \(activated.mixture): '\(gates.name)' reads the base alone, and '\(prompt.name)' puts a prompt before the tokens: "
          + "expected one of them")
    }
    let rows = options.maximumStepRows - options.maximumSequences + 1
    if activated.readsWholePrompts, tokenCount + count > rows {
      throw EngineError(
        .invalidArgument,
        "mixture \(activated.mixture): expected a prompt of at most \(rows) tokens, because experts are chosen by all of them "
          + "in one step, found \(tokenCount + count); open the engine with more rows for a step")
    }
  }

  /// The phases of a sequence under a mixture: one, or, where adapters are invoked by tokens of the prompt, one more from every
  /// invocation on; and rows of an adapter's own prompt are apart from those of tokens. Mixtures wider than the options allow are
  /// refused.
  /// - Parameters:
  ///   - count: positions before the first token.
  ///   - current: phases that nobody else uses; the last is re-weighted where it has the same adapters.
  func phases(
    _ activated: ActivatedMixture, prompt: ArraySlice<Int32>, behind count: Int, reusing current: [MixturePhase] = []
  ) throws(EngineError) -> [MixturePhase] {
    // Nearly always; between two tokens every allocation shows.
    guard activated.isInvoked else {
      let last = try phase(from: count, activated, reusing: current.last?.active)
      return count == 0 ? [last] : [try phase(from: 0, activated, reusing: nil), last]
    }
    var begins: [(name: String, first: Int)] = []
    for adapter in activated.adapters {
      guard let invocation = adapter.adapter.deltas.invocation else { continue }
      // One that is not invoked never begins.
      let first = Engine.lastOccurrence(of: invocation, in: prompt)
      begins.append((adapter.name, first.map { $0 + count } ?? Int.max))
    }
    let changes = Set(begins.map(\.first)).union([0, count]).subtracting([Int.max]).sorted()
    var phases: [MixturePhase] = []
    for first in changes {
      let silent = Set(begins.filter { $0.first > first }.map(\.name))
      let isLast = first == changes.last
      phases.append(try phase(from: first, activated.without(silent), reusing: isLast ? current.last?.active : nil))
    }
    return phases
  }

  private func phase(
    from first: Int, _ activated: ActivatedMixture, reusing current: ActiveMixture?
  ) throws(EngineError) -> MixturePhase {
    let (members, scales) = (activated.members, activated.mixture.scales)
    guard !members.isEmpty else { return MixturePhase(first: first, active: nil, identity: activated.identity) }
    let active: ActiveMixture
    if let current, current.reweight(members, scales: scales) {
      active = current
    } else {
      active = ActiveMixture(members, scales: scales)
    }
    guard active.width <= options.maximumActiveRank else {
      throw EngineError(
        .outOfMemory,
        "mixture \(activated.mixture): expected active ranks of at most \(options.maximumActiveRank) together, "
          + "found \(active.width); open the engine with a larger maximum active rank")
    }
    return MixturePhase(first: first, active: active, identity: activated.identity)
  }

  /// Where `tokens` stand last in a prompt; nil when they do not.
  static func lastOccurrence(of tokens: [Int32], in prompt: ArraySlice<Int32>) -> Int? {
    guard !tokens.isEmpty, tokens.count <= prompt.count else { return nil }
    return (prompt.startIndex...prompt.endIndex - tokens.count).last { prompt[$0...].starts(with: tokens) }
  }
}
