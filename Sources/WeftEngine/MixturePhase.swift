// SPDX-License-Identifier: Apache-2.0

internal import WeftTransformer

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
