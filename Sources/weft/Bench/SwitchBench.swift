// SPDX-License-Identifier: Apache-2.0

import WeftEngine

/// `weft bench --switching`: what it costs to answer the next token with another adapter. One sequence decodes; before every other
/// step the next adapter becomes the active one, the others of the same size as before, so steps differ by the change alone.
struct SwitchBench {
  /// Tokens of the prompt.
  let prompt: Int
  /// Pairs of steps: one behind a change, one without.
  let pairs: Int

  struct Measured {
    /// Microseconds: the median, over pairs, of what the step with the change before it took longer.
    var cost: Double
    /// Microseconds: the standard error of that median, from the middle half of the differences.
    var error: Double
    /// Microseconds of the change itself, a median: `Engine.activate`, when its memory and its code have left the caches.
    var call: Double
    /// Seconds of a step without a change, a median.
    var step: Double
  }

  /// The longest sequence: the prompt, the step behind it that is not counted, and the pairs.
  var contextLength: Int { prompt + 2 * pairs + 2 }

  /// Alternates between the adapters. Nothing may be in flight.
  func run(_ engine: Engine, _ adapters: [WeightedAdapter]) throws -> Measured {
    let activations = adapters.map { Activation.mixture(AdapterMixture([$0])) }
    let tokens = (0..<prompt).map { Int32(($0 * 7919 + 13) % engine.model.vocabularySize) }
    let id = try engine.submit(
      GenerationRequest(
        .tokens(tokens), activation: activations[0], sampling: .greedy, maximumTokens: 2 * pairs + 2, ignoresEndTokens: true))
    var hasToken = false
    while !hasToken { engine.step { event in if case .token = event { hasToken = true } } }
    engine.step { _ in }
    var (differences, calls, steps): ([Double], [Double], [Double]) = ([], [], [])
    for index in 1...pairs {
      // Which one of a pair is first changes from pair to pair.
      let (isFirst, other) = (index % 2 == 1, activations[index % activations.count])
      let first = try step(engine, id, isFirst ? other : nil)
      let second = try step(engine, id, isFirst ? nil : other)
      let (changed, plain) = isFirst ? (first, second) : (second, first)
      differences.append((changed.total - plain.total) * 1e6)
      calls.append(changed.call * 1e6)
      steps.append(plain.total)
    }
    engine.cancel(id)
    engine.step { _ in }
    let sorted = differences.sorted()
    let spread = sorted[sorted.count * 3 / 4] - sorted[sorted.count / 4]
    return Measured(
      cost: sorted.median, error: 0.93 * spread / Double(sorted.count).squareRoot(), call: calls.median, step: steps.median)
  }

  /// Seconds of a change, and of it and the step behind it.
  private func step(_ engine: Engine, _ id: SequenceID, _ activation: Activation?) throws -> (call: Double, total: Double) {
    let begin = ContinuousClock.now
    if let activation { try engine.activate(activation, for: id) }
    let call = begin.elapsed
    engine.step { _ in }
    return (call, begin.elapsed)
  }
}
