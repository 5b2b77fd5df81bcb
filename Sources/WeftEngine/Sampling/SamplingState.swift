// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// What sampling remembers from one token of a sequence to the next.
package struct SamplingState {
  /// Where chance comes from.
  package var random: RandomSource
  /// Mirostat's threshold in bits (the paper's mu).
  package var surpriseLimit: Float
  /// What ends repetitions for DRY.
  package let breakers: SequenceBreakers

  /// The state before the first token.
  package init(_ options: SamplingOptions, seed: UInt64, breakers: SequenceBreakers = SequenceBreakers()) {
    random = RandomSource(seed: seed)
    surpriseLimit = 2 * (options.mirostat?.targetSurprise ?? 0)
    self.breakers = breakers
  }

  /// Moves the threshold behind a token of this surprise, in bits among the tokens that were left.
  package mutating func observe(_ surprise: Float, _ mirostat: MirostatOptions) {
    surpriseLimit -= mirostat.learningRate * (surprise - mirostat.targetSurprise)
  }
}
