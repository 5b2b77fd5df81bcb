// SPDX-License-Identifier: Apache-2.0

/// "Don't repeat yourself" (p-e-w 2024, text-generation-webui #5677): where the text ends with something that occurred before,
/// the token that followed there becomes less likely by `multiplier * base ^ (length - allowedLength)`.
public struct DRYOptions: Sendable, Hashable {
  /// The penalty of a repetition of the allowed length; 0 changes nothing.
  public var multiplier: Float
  /// The factor for every further token of the repetition.
  public var base: Float
  /// Repetitions shorter than this are free.
  public var allowedLength: Int
  /// How many tokens back repetitions are looked for, the prompt's included; nil looks at all.
  public var window: Int?
  /// Texts that no repetition reaches across.
  public var sequenceBreakers: [String]

  /// A value with these properties.
  public init(
    multiplier: Float, base: Float = 1.75, allowedLength: Int = 2, window: Int? = nil,
    sequenceBreakers: [String] = ["\n", ":", "\"", "*"]
  ) {
    self.multiplier = multiplier
    self.base = base
    self.allowedLength = allowedLength
    self.window = window
    self.sequenceBreakers = sequenceBreakers
  }
}
