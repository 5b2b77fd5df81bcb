// SPDX-License-Identifier: Apache-2.0

/// How the next token is chosen. The filters run in the order of the properties, which is llama.cpp's default order: what
/// recent text makes unlikely, then what is cut off, then the temperature of what is left. Every filter has a value that
/// switches it off.
///
/// Top-p, min-p, typical sampling and XTC look at probabilities before the temperature. Mirostat takes the place of the cuts
/// from `topK` to `xtc`, and looks at probabilities behind the temperature.
public struct SamplingOptions: Sendable, Hashable {
  /// Added to the logits of single tokens, by id; `-infinity` bans one.
  public var logitBias: [Int32: Float] = [:]
  /// Divides positive logits of recent tokens, and multiplies negative ones (Keskar et al. 2019); 1 changes nothing.
  public var repetitionPenalty: Float
  /// Taken from the logit of a token for every time that it occurs among the recent ones; 0 changes nothing.
  public var frequencyPenalty: Float = 0
  /// Taken from the logit of a token that occurs among the recent ones; 0 changes nothing.
  public var presencePenalty: Float = 0
  /// How many tokens back the three penalties look, the prompt's included.
  public var repetitionWindow: Int
  /// Makes tokens unlikely that would go on with a repetition; nil changes nothing.
  public var dry: DRYOptions?
  /// Keeps so many of the most likely tokens; 0 keeps all.
  public var topK: Int
  /// Keeps the tokens whose surprise is closest to the expected one, until they together reach this probability (Meister et
  /// al. 2023); 1 keeps all.
  public var typicalP: Float = 1
  /// Keeps the most likely tokens that together reach this probability (Holtzman et al. 2020); 1 keeps all.
  public var topP: Float
  /// Drops tokens less likely than this times the most likely one (Nguyen et al. 2024); 0 drops none.
  public var minP: Float
  /// Sometimes drops the most likely tokens; nil never does.
  public var xtc: XTCOptions?
  /// Divides the logits; 0 always takes the most likely of the tokens that are left.
  public var temperature: Float
  /// Holds the surprise of the text at a target, instead of the cuts above; nil leaves them.
  public var mirostat: MirostatOptions?
  /// Same seed, same request, same text; nil draws one.
  public var seed: UInt64?

  /// Defaults that read well in conversations. What is not named here is off.
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
}
