// SPDX-License-Identifier: Apache-2.0

/// How the next token is chosen. The filters run in the order of the properties.
public struct SamplingOptions: Sendable, Hashable {
  /// Divides positive logits of recent tokens, and multiplies negative ones (Keskar et al. 2019); 1 changes nothing.
  public var repetitionPenalty: Float
  /// How many tokens back `repetitionPenalty` looks.
  public var repetitionWindow: Int
  /// Divides the logits; 0 always takes the most likely token.
  public var temperature: Float
  /// Keeps so many of the most likely tokens; 0 keeps all.
  public var topK: Int
  /// Keeps the most likely tokens that together reach this probability (Holtzman et al. 2020); 1 keeps all.
  public var topP: Float
  /// Drops tokens less likely than this times the most likely one (Nguyen et al. 2024); 0 drops none.
  public var minP: Float
  /// Same seed, same request, same text; nil draws one.
  public var seed: UInt64?

  /// Defaults that read well in conversations.
  public init(
    temperature: Float = 0.8, topK: Int = 40, topP: Float = 0.95, minP: Float = 0.05, repetitionPenalty: Float = 1,
    repetitionWindow: Int = 64, seed: UInt64? = nil
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.repetitionWindow = repetitionWindow
    self.seed = seed
  }

  /// Always the most likely token.
  public static let greedy = SamplingOptions(temperature: 0, topK: 0, topP: 1, minP: 0)

  package func validated() throws(EngineError) -> SamplingOptions {
    func check(_ holds: Bool, _ name: String, _ expected: String, _ found: String) throws(EngineError) {
      if !holds { throw EngineError(.invalidArgument, "\(name): expected \(expected), found \(found)") }
    }
    try check(temperature >= 0 && temperature.isFinite, "temperature", "a number from 0 upwards", "\(temperature)")
    try check(topK >= 0, "top-k", "0 or more", "\(topK)")
    try check(topP > 0 && topP <= 1, "top-p", "a number above 0, up to 1", "\(topP)")
    try check(minP >= 0 && minP <= 1, "min-p", "a number from 0 to 1", "\(minP)")
    try check(
      repetitionPenalty > 0 && repetitionPenalty.isFinite, "repetition penalty", "a positive number", "\(repetitionPenalty)")
    try check(repetitionWindow >= 0, "repetition window", "0 or more", "\(repetitionWindow)")
    return self
  }
}
