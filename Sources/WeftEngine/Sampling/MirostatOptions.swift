// SPDX-License-Identifier: Apache-2.0

/// Mirostat 2 (Basu et al. 2021, algorithm 2): keeps tokens whose surprise is below a threshold, and moves the threshold after
/// every token so that the surprise of the text stays at a target.
public struct MirostatOptions: Sendable, Hashable {
  /// The target in bits (the paper's tau). The threshold begins at twice this.
  public var targetSurprise: Float
  /// How fast the threshold moves (the paper's eta).
  public var learningRate: Float

  /// A value with these properties.
  public init(targetSurprise: Float = 5, learningRate: Float = 0.1) {
    self.targetSurprise = targetSurprise
    self.learningRate = learningRate
  }
}
