// SPDX-License-Identifier: Apache-2.0

/// "Exclude top choices" (p-e-w 2024, text-generation-webui #6335): with a given chance, of all tokens that are likely enough
/// only the least likely one stays.
public struct XTCOptions: Sendable, Hashable {
  /// The chance that a token is chosen in this way.
  public var probability: Float
  /// What is likely enough. Above 0.5 nothing can be dropped, since two tokens have to reach it.
  public var threshold: Float

  /// A value with these properties.
  public init(probability: Float, threshold: Float = 0.1) {
    self.probability = probability
    self.threshold = threshold
  }
}
