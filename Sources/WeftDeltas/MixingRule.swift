// SPDX-License-Identifier: Apache-2.0

/// What operators of several adapters at one place, or one with a weight other than 1, mean.
package enum MixingRule: String, Hashable, Sendable, CaseIterable {
  /// Their weighted sum: any weights, in any company.
  case sum
  /// Factors 1 + weight (f - 1), multiplied or added up as the mixture says.
  case scale
  /// There is no part of it: weight 1. One for each place, unless a stack says which acts first.
  case ordered
  /// There is no part of it, and no second one: weight 1, one for each place.
  case exclusive

  /// For people: what a mixture may hold.
  package var sentence: String {
    switch self {
    case .sum: "added up with any weights"
    case .scale: "multiplied or averaged with any weights"
    case .ordered: "one for each place with weight 1, or several in a stack (a>b)"
    case .exclusive: "one for each place with weight 1"
    }
  }
}

extension DeltaOperator {
  package var mixingRule: MixingRule {
    switch self {
    case .lowRank, .gated, .structured: .sum
    case .scale(let delta): delta.combination == .sum ? .sum : .scale
    case .rotate: .ordered
    case .bias(let delta): delta.isReplacement ? .exclusive : .sum
    case .replace: .exclusive
    }
  }
}

extension EmbeddingDelta {
  package var mixingRule: MixingRule {
    switch self {
    case .lowRank, .sum, .positions: .sum
    case .rotate: .ordered
    case .rows, .replace, .scale: .exclusive
    }
  }
}

extension HiddenDelta {
  package var mixingRule: MixingRule {
    switch self {
    case .steering, .bottleneck: .sum
    }
  }
}

extension DeltaSet {
  /// The rules of everything that it has, by the names of `operatorNames`.
  package var mixingRules: [String: MixingRule] {
    var rules: [String: MixingRule] = [:]
    for delta in operators.values.joined() { rules[delta.name] = delta.mixingRule }
    for delta in embedding { rules["embedding \(delta.name)"] = delta.mixingRule }
    for delta in hidden.values.joined() { rules[delta.name] = delta.mixingRule }
    if !norms.isEmpty { rules["replaced norm"] = .exclusive }
    if !normSums.isEmpty { rules["norm"] = .sum }
    if let prompt { rules[prompt.name] = .exclusive }
    if !gatedPrompts.isEmpty { rules["gated prompt"] = .exclusive }
    return rules
  }
}
