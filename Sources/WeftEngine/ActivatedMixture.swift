// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftTransformer

/// A mixture with its adapters as they were when it was activated. Holds references: they stay, whatever happens to their names.
struct ActivatedMixture {
  let mixture: Mixture
  /// One for each part, in order.
  let adapters: [LoadedAdapter]

  static let base = ActivatedMixture(mixture: .base, adapters: [])

  /// What `ActiveMixture` is made of. A prompt is there or not: one with weight 0 takes no positions.
  var members: [ActiveMixture.Member] {
    zip(mixture.parts, adapters).compactMap { part, adapter in
      adapter.promptCount > 0 && part.weight(inLayer: nil) == 0 ? nil : (adapter: adapter.resident, part: part)
    }
  }

  /// The adapter whose prompt stands before the tokens; there is one at most.
  var promptAdapter: LoadedAdapter? {
    zip(mixture.parts, adapters).first { part, adapter in
      adapter.promptCount > 0 && part.weight(inLayer: nil) != 0
    }?.1
  }

  /// The adapter whose experts are chosen by a pass over the base alone; there is one at most.
  var gateAdapter: LoadedAdapter? { adapters.first { $0.resident.needsGates } }
  /// Whether a prompt has to be computed in one step.
  var readsWholePrompts: Bool { adapters.contains { $0.readsWholePrompts } }

  /// The same without some adapters.
  func without(_ names: Set<String>) -> ActivatedMixture {
    guard !names.isEmpty else { return self }
    return ActivatedMixture(mixture: mixture.without(names), adapters: adapters.filter { !names.contains($0.name) })
  }

  var identity: KVIdentity {
    mixture == .base ? .base : KVIdentity([.init(mixture: mixture, versions: adapters.map(\.version))])
  }
}

/// Positions of a sequence that run under the same adapters. Position 0 is that of its first token, or of the prompt before it.
struct MixturePhase {
  /// The first of them; the phase ends where the next one begins.
  let first: Int
  /// nil for the base alone.
  let active: ActiveMixture?
  let identity: KVIdentity

  static var base: MixturePhase { MixturePhase(first: 0, active: nil, identity: .base) }
}

extension [MixturePhase] {
  /// What a block was computed under. Most blocks lie in one phase.
  func identity(ofBlock index: Int) -> KVIdentity {
    let begin = index * BlockManager.blockTokens
    let inside = filter { $0.first > begin && $0.first < begin + BlockManager.blockTokens }
    guard let opening = last(where: { $0.first <= begin }) else { return .base }
    guard !inside.isEmpty else { return opening.identity }
    let spans =
      opening.identity.spans
      + inside.flatMap { phase in
        phase.identity.spans.map { KVIdentity.Span(offset: phase.first - begin, mixture: $0.mixture, versions: $0.versions) }
      }
    return KVIdentity(spans)
  }

  /// As many of these positions as a step can take: a sequence has at most `Engine.segmentsPerSequence` segments in a batch.
  func rows(from begin: Int, to end: Int) -> Range<Int> {
    let changes = filter { $0.first > begin && $0.first < end }
    guard changes.count >= Engine.segmentsPerSequence else { return begin..<end }
    return begin..<changes[Engine.segmentsPerSequence - 1].first
  }

  /// Whether the same adapters run at the same positions.
  func isSame(as other: [MixturePhase]) -> Bool {
    elementsEqual(other) { $0.first == $1.first && $0.identity == $1.identity }
  }
}

extension Engine {
  /// Resolves the names of a mixture and checks that its parts go together.
  func activated(_ mixture: Mixture) throws(EngineError) -> ActivatedMixture {
    guard !mixture.parts.isEmpty else { return .base }
    do { try mixture.validate(layerCount: weights.config.layerCount) } catch { throw EngineError(error) }
    let adapters = try adapterPool.adapters(of: mixture)
    do { try MixingProfile.validate(mixture, adapters.map(\.profile)) } catch { throw EngineError(error) }
    return ActivatedMixture(mixture: mixture, adapters: adapters)
  }

  /// Refuses a mixture that could not be activated now: names that are not loaded, layers that the base does not have, parts that do
  /// not go together.
  public func validate(_ mixture: AdapterMixture) throws(EngineError) {
    _ = try phases(activated(mixture.canonical()), prompt: [], behind: 0)
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

extension Batch {
  /// Appends positions of one sequence, a segment for every phase that they lie in. `blocks` must stay as it is until the step is
  /// over.
  /// - Parameters:
  ///   - prefix: what stands before the tokens: `Batch.promptToken` for each position.
  ///   - gates: of these rows.
  func append(
    _ tokens: [Int32], behind prefix: [Int32], _ rows: Range<Int>, _ phases: [MixturePhase], _ blocks: [Int32], logits: Logits,
    gates: ExternalGates? = nil
  ) {
    for (index, phase) in phases.enumerated() {
      let end = index + 1 < phases.count ? phases[index + 1].first : Int.max
      let begin = Swift.max(rows.lowerBound, phase.first)
      let part = begin..<Swift.max(begin, min(rows.upperBound, end))
      guard !part.isEmpty else { continue }
      let isPrefix = part.lowerBound < prefix.count
      let source = isPrefix ? prefix : tokens
      let offset = isPrefix ? 0 : prefix.count
      blocks.withUnsafeBufferPointer { table in
        source.withUnsafeBufferPointer { source in
          guard let table = table.baseAddress else { return }
          append(
            tokens: UnsafeBufferPointer(rebasing: source[part.lowerBound - offset..<part.upperBound - offset]),
            firstPosition: part.lowerBound, blockTable: table, mixture: phase.active,
            logits: logits == .last && part.upperBound < rows.upperBound ? .none : logits,
            gates: gates?.dropping(part.lowerBound - rows.lowerBound))
        }
      }
    }
  }
}
