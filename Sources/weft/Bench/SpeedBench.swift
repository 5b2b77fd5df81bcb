// SPDX-License-Identifier: Apache-2.0

import WeftEngine

/// Prefill and decode of sequences that run together.
struct SpeedBench {
  /// Tokens of each prompt.
  let prompt: Int
  /// Steps that are measured: tokens of each sequence.
  let decode: Int
  let sequences: Int
  /// Whether repetitions take over the keys and values of the prompts, so that long ones are computed once.
  let computesPromptOnce: Bool

  /// Medians over the repetitions.
  struct Measured {
    /// Tokens per second of all prompts together.
    var prefillSpeed: Double
    /// Tokens per second of all sequences together.
    var decodeSpeed: Double
    /// Seconds of a step in which every sequence decodes one token.
    var step: Double
  }

  /// The longest sequence: a prompt, and its answer.
  var contextLength: Int { prompt + answer }

  /// Tokens of an answer: the first ones of a batch go on while the prompts of the last ones are computed.
  private var answer: Int { decode + 1 + (sequences == 1 ? 0 : sequences * (prompt / 256 + 1)) }

  /// Sequence i answers with mixture i, round and round. Nothing may be in flight.
  func run(_ engine: Engine, _ mixtures: [AdapterMixture], repetitions: Int) throws -> Measured {
    var (prefills, decodes, steps): ([Double], [Double], [Double]) = ([], [], [])
    // Weights are in memory afterwards, and threads awake.
    if computesPromptOnce { _ = try repetition(engine, mixtures, prompt: min(prompt, 8)) }
    for index in 0...repetitions {
      let (prefill, times) = try repetition(engine, mixtures, prompt: prompt)
      // The first one is not counted, except for prompts that are computed only there.
      if computesPromptOnce == (index == 0) { prefills.append(Double(sequences * prompt) / prefill) }
      if index == 0 { continue }
      decodes.append(Double(sequences * decode) / times.reduce(0, +))
      steps.append(times.median)
    }
    return Measured(prefillSpeed: prefills.median, decodeSpeed: decodes.median, step: steps.median)
  }

  /// Seconds of the prompts, and of every step behind them.
  private func repetition(
    _ engine: Engine, _ mixtures: [AdapterMixture], prompt: Int
  ) throws -> (prefill: Double, steps: [Double]) {
    var ids: [SequenceID] = []
    for index in 0..<sequences {
      // Any tokens will do: the time does not depend on them. Sequences have nothing in common, though.
      let tokens = (0..<prompt).map { Int32(($0 * 7919 + index * 104_729 + 13) % engine.model.vocabularySize) }
      ids.append(
        try engine.submit(
          GenerationRequest(
            .tokens(tokens), activation: .mixture(mixtures[index % mixtures.count]), sampling: .greedy, maximumTokens: answer,
            ignoresEndTokens: true)))
    }
    var (withoutToken, failure): (Set<SequenceID>, EngineError?) = (Set(ids), nil)
    let begin = ContinuousClock.now
    while !withoutToken.isEmpty {
      engine.step { event in
        switch event {
        case .token(let id, _, _, _): withoutToken.remove(id)
        case .finished(let id, let result):
          withoutToken.remove(id)
          failure = failure ?? result.error
        case .activated: break
        }
      }
      if let failure { throw failure }
    }
    let prefill = begin.elapsed
    let steps = (0..<decode).map { _ in
      let begin = ContinuousClock.now
      engine.step { _ in }
      return begin.elapsed
    }
    for id in ids { engine.cancel(id) }
    engine.step { _ in }
    return (prefill, steps)
  }
}

extension ContinuousClock.Instant {
  /// Seconds until now.
  var elapsed: Double {
    let (seconds, attoseconds) = duration(to: .now).components
    return Double(seconds) + Double(attoseconds) * 1e-18
  }
}

extension [Double] {
  /// The middle value, the upper one of two. Not for empty arrays.
  var median: Double { sorted()[count / 2] }
}
