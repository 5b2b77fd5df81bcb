// SPDX-License-Identifier: Apache-2.0

/// A grammar as it is written: named rules over characters.
struct GrammarRules {
  struct Rule {
    var name: String
    var place: SourcePlace
    var body: Expression
  }

  /// What a rule, or a part of one, reads.
  indirect enum Expression {
    /// Exactly this text, in UTF-8.
    case literal([UInt8])
    /// One character.
    case character(CharacterSet)
    /// All of these, in order; an empty list reads nothing.
    case sequence([Expression])
    /// One of these.
    case choice([Expression])
    /// From `minimum` to `maximum` times; nil has no end.
    case repetition(Expression, minimum: Int, maximum: Int?, SourcePlace)
    /// The rule of this index.
    case rule(Int, SourcePlace)
  }

  var rules: [Rule]
  /// The rule that a text begins with.
  var root: Int
}
