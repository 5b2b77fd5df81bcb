// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// `NAME=PATH[:WEIGHT]`, or `NAME[:WEIGHT]` for an adapter that is loaded already.
struct AdapterArgument: ExpressibleByArgument {
  let name: String
  /// A PEFT folder; nil for an adapter that is loaded already.
  let path: String?
  let weight: Float

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let first = parts.first, !first.isEmpty else { return nil }
    if parts.count == 2 {
      (path, weight) = AdapterArgument.separated(parts[1])
      name = first
      guard path?.isEmpty == false else { return nil }
    } else {
      (name, weight) = AdapterArgument.separated(first)
      path = nil
      guard !name.isEmpty else { return nil }
    }
  }

  var weighted: WeightedAdapter { WeightedAdapter(name, weight: weight) }

  /// Text and weight, where a number follows the last colon; otherwise the colon is part of the text, and the weight 1.
  private static func separated(_ text: String) -> (String, Float) {
    guard let colon = text.lastIndex(of: ":"), let weight = Float(text[text.index(after: colon)...]) else { return (text, 1) }
    return (String(text[..<colon]), weight)
  }
}

extension AdapterMixture {
  /// Who answers, for people: `roman 0.93, numbers 0.07`, or `base`; the mixture's own text where that says less than is so.
  var readable: String {
    if adapters.isEmpty { return "base" }
    guard levels.count == 1, scales == .multiply, adapters.allSatisfy({ $0.layers.isEmpty && $0.places.isEmpty }) else {
      return description
    }
    return adapters.map { $0.weight == 1 ? $0.name : "\($0.name) \(Readable.decimal(Double($0.weight), digits: 2))" }.joined(
      separator: ", ")
  }
}
