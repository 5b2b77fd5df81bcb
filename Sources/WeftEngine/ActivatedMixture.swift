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

  /// What `ActiveMixture` is made of.
  var members: [ActiveMixture.Member] {
    zip(mixture.parts, adapters).map { (adapter: $1.resident, part: $0) }
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

/// Positions of a sequence that run under the same adapters.
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

  /// The phases of a sequence under a mixture: one, or, where adapters are invoked by tokens of the prompt, one more from every
  /// invocation on. Mixtures wider than the options allow are refused.
  /// - Parameter current: phases that nobody else uses; the last is re-weighted where it has the same adapters.
  func phases(
    _ activated: ActivatedMixture, prompt: ArraySlice<Int32>, reusing current: [MixturePhase] = []
  ) throws(EngineError) -> [MixturePhase] {
    var begins: [(name: String, first: Int)] = []
    for adapter in activated.adapters {
      guard let invocation = adapter.adapter.deltas.invocation else { continue }
      // One that is not invoked never begins.
      begins.append((adapter.name, Engine.lastOccurrence(of: invocation, in: prompt) ?? Int.max))
    }
    let changes = [0] + Set(begins.map(\.first)).subtracting([0, Int.max]).sorted()
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
    guard !activated.adapters.isEmpty else { return MixturePhase(first: first, active: nil, identity: .base) }
    let (members, scales) = (activated.members, activated.mixture.scales)
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
  /// Appends rows of one sequence, a segment for every phase that they lie in. `blocks` must stay as it is until the step is over.
  func append(
    _ tokens: [Int32], _ rows: Range<Int>, _ phases: [MixturePhase], _ blocks: [Int32], logits: Logits
  ) {
    for (index, phase) in phases.enumerated() {
      let end = index + 1 < phases.count ? phases[index + 1].first : Int.max
      let part = max(rows.lowerBound, phase.first)..<Swift.max(rows.lowerBound, phase.first, min(rows.upperBound, end))
      guard !part.isEmpty else { continue }
      blocks.withUnsafeBufferPointer { table in
        tokens.withUnsafeBufferPointer { tokens in
          guard let table = table.baseAddress else { return }
          append(
            tokens: UnsafeBufferPointer(rebasing: tokens[part]), firstPosition: part.lowerBound, blockTable: table,
            mixture: phase.active, logits: logits == .last && part.upperBound < rows.upperBound ? .none : logits)
        }
      }
    }
  }
}
