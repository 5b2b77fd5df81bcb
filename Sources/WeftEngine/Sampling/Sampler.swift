// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import WeftGrammar
package import WeftTensors

/// Chooses tokens from logits. Its memory is reserved once; sampling allocates nothing.
///
/// First the logits are changed (bias, penalties, DRY), then tokens are cut off, then one is drawn from what is left. A grammar
/// is asked about the token that was drawn; only when it refuses that one, all tokens are asked about, and those that it permits
/// are sampled anew. Without cuts that is the same distribution as asking first.
package final class Sampler {
  let vocabularySize: Int
  let candidates: CandidateList
  /// Per token, what a penalty counts; all zero between calls.
  let counts: UnsafeMutablePointer<Int32>
  /// Lengths of repetitions, one for each token of a text.
  let lengths: UnsafeMutablePointer<Int32>
  let maximumHistory: Int
  private let kernels: Kernels
  /// The logits as the model made them, for log-probabilities.
  let untouched: UnsafeMutablePointer<Float>

  /// Bytes that a sampler takes: its candidates, counts and logits, and lengths of repetitions.
  static func byteCount(vocabularySize: Int, maximumHistory: Int) -> Int {
    vocabularySize * 28 + CandidateList.blockCount(vocabularySize) * 4 + maximumHistory * 4
  }

  /// `maximumHistory`: how many tokens back DRY looks at most.
  package init(vocabularySize: Int, maximumHistory: Int, kernels: Kernels) {
    self.vocabularySize = vocabularySize
    self.kernels = kernels
    self.maximumHistory = maximumHistory
    candidates = CandidateList(vocabularySize: vocabularySize, kernels: kernels)
    counts = .allocate(capacity: vocabularySize)
    counts.initialize(repeating: 0, count: vocabularySize)
    lengths = .allocate(capacity: maximumHistory)
    untouched = .allocate(capacity: vocabularySize)
  }

  deinit {
    counts.deallocate()
    lengths.deallocate()
    untouched.deallocate()
  }

  /// The next token behind `history`, prompt included; nil when the options and the grammar leave none. Changes `logits`.
  package func sample(
    _ logits: UnsafeMutableBufferPointer<Float>, history: [Int32], _ options: SamplingOptions, _ state: inout SamplingState,
    constraint: TokenConstraint? = nil
  ) throws(GrammarError) -> Int32? {
    penalize(logits, history, options, state.breakers)
    var choice = choose(logits, options, &state)
    if let constraint, let id = choice?.id, try !constraint.permits(id) {
      choice = choose(logits, options, &state, mask: try constraint.mask())
    }
    guard let choice else { return nil }
    if let mirostat = options.mirostat { state.observe(choice.surprise, mirostat) }
    return choice.id
  }

  /// What `sample` draws from: ids and their probabilities, in no order.
  package func distribution(
    _ logits: UnsafeMutableBufferPointer<Float>, history: [Int32], _ options: SamplingOptions, _ state: inout SamplingState
  ) -> [Int32: Double] {
    penalize(logits, history, options, state.breakers)
    filter(logits, options, &state, mask: nil)
    let total = candidates.weigh()
    let pairs = (0..<candidates.keptCount).map { (candidates.kept[$0].id, Double(candidates.weights[$0]) / total) }
    return Dictionary(uniqueKeysWithValues: pairs)
  }

  /// A token, and its surprise in bits among the ones that were left.
  private struct Choice {
    var id: Int32
    var surprise: Float = 0
  }

  private func choose(
    _ logits: UnsafeMutableBufferPointer<Float>, _ options: SamplingOptions, _ state: inout SamplingState,
    mask: UnsafePointer<UInt64>? = nil
  ) -> Choice? {
    if mask == nil && options.isGreedy {
      guard let values = logits.baseAddress else { return nil }
      let id = kernels.argmax(values, count: logits.count)
      return logits[id] > -.infinity ? Choice(id: Int32(id)) : nil
    }
    filter(logits, options, &state, mask: mask)
    guard candidates.keptCount > 0 else { return nil }
    if options.temperature == 0 { return Choice(id: candidates.kept[candidates.bestIndex].id) }
    let total = candidates.weigh()
    var remaining = Double(state.random.unitFloat()) * total
    var place = 0
    while place < candidates.keptCount - 1 {
      remaining -= Double(candidates.weights[place])
      if remaining < 0 { break }
      place += 1
    }
    return Choice(id: candidates.kept[place].id, surprise: Float(-log2(Double(candidates.weights[place]) / total)))
  }

  /// Leaves in `candidates` what may be drawn, with its logits divided by the temperature.
  private func filter(
    _ logits: UnsafeMutableBufferPointer<Float>, _ options: SamplingOptions, _ state: inout SamplingState,
    mask: UnsafePointer<UInt64>?
  ) {
    candidates.load(logits, mask: mask, top: options.mirostat == nil ? options.topK : 0)
    let temperature = options.temperature
    if options.mirostat != nil {
      if temperature > 0 { candidates.divide(by: temperature) }
      return candidates.keepUnsurprising(state.surpriseLimit)
    }
    if options.typicalP < 1 { candidates.keepTypical(options.typicalP, logits: logits) }
    if options.topP < 1 { candidates.keepShare(options.topP) }
    if options.minP > 0 { candidates.keepNearBest(options.minP) }
    if let xtc = options.xtc, state.random.unitFloat() < xtc.probability { candidates.dropTop(from: xtc.threshold) }
    if temperature > 0 { candidates.divide(by: temperature) }
  }
}

extension SamplingOptions {
  /// The most likely token is taken whatever the cuts say: none of them can drop it.
  fileprivate var isGreedy: Bool { temperature == 0 && (mirostat != nil || (typicalP == 1 && xtc == nil)) }
}
