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

  /// Gives a sequence other adapters from its next position on. What stands before its tokens can be chosen until it has begun.
  func activate(_ activated: ActivatedMixture, in sequence: TokenSequence) throws(EngineError) {
    let adapter = activated.promptAdapter
    let isNew = sequence.blocks.isEmpty
    if let adapter, !isNew, adapter !== sequence.prefixAdapter {
      throw EngineError(
        .busy,
        "adapter \(adapter.name): its prompt stands before a sequence; expected one that has not begun, found \(sequence.id)")
    }
    let count = isNew ? adapter?.promptCount ?? 0 : sequence.prefix.count
    try checkContext(sequence.promptCount, adapter: isNew ? adapter : nil)
    var phases = try phases(activated, prompt: sequence.prompt, behind: count, reusing: sequence.phases)
    if isNew {
      sequence.setPrefix(adapter, contextLength: contextLength)
    } else if adapter == nil, count > 0 {
      // Its prompt stays what it was.
      phases[0] = sequence.phases[0]
    }
    sequence.activate(activated, phases)
  }

  /// Refuses a prompt that does not fit, with what an adapter puts before it.
  func checkContext(_ tokenCount: Int, adapter: LoadedAdapter?) throws(EngineError) {
    let count = adapter?.promptCount ?? 0
    guard tokenCount + count >= contextLength else { return }
    throw EngineError(
      .invalidArgument,
      "prompt: expected fewer tokens than the context of \(contextLength), found \(tokenCount)"
        + (adapter.map { " behind \(count) of adapter \($0.name)" } ?? "")
        + "; shorten it, begin a new conversation, or open the engine with a longer context "
        + "(the model allows \(model.trainedContextLength))")
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
  /// - Parameter prefix: what stands before the tokens: `Batch.promptToken` for each position.
  func append(
    _ tokens: [Int32], behind prefix: [Int32], _ rows: Range<Int>, _ phases: [MixturePhase], _ blocks: [Int32], logits: Logits
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
            logits: logits == .last && part.upperBound < rows.upperBound ? .none : logits)
        }
      }
    }
  }
}
