// SPDX-License-Identifier: Apache-2.0

/// What `weft stats` collects.
package struct StatisticsOptions: Sendable {
  /// Of the inputs of linear modules.
  package enum Gram: String, Sendable, CaseIterable { case none, diagonal, full }

  /// Whose answers the Fisher information is of.
  package enum Fisher: String, Sendable, CaseIterable {
    case none
    /// The answers of the data.
    case empirical
    /// Answers drawn from the model: the Fisher information itself, in expectation.
    case sampled
  }

  package var gram: Gram
  package var fisher: Fisher
  /// Of weights.
  package var ofWeights: Bool
  /// Of the adapter's factors.
  package var ofFactors: Bool
  /// Whether gradients of outputs are kept, too.
  package var hasGradientGram: Bool
  /// The longest sampled answer.
  package var maximumTokens: Int
  /// Of sampled answers.
  package var seed: UInt64

  package init(
    gram: Gram = .full, fisher: Fisher = .none, ofWeights: Bool = true, ofFactors: Bool = false, hasGradientGram: Bool = false,
    maximumTokens: Int = 64, seed: UInt64 = 0
  ) {
    self.gram = gram
    self.fisher = fisher
    self.ofWeights = ofWeights
    self.ofFactors = ofFactors
    self.hasGradientGram = hasGradientGram
    self.maximumTokens = maximumTokens
    self.seed = seed
  }
}
