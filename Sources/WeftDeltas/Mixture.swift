// SPDX-License-Identifier: Apache-2.0

/// The adapters that are active together, each with its weight.
///
/// What weights mean is the business of the operators (`MixingRule`); what is written here is who takes part, how much, where,
/// and in which order. A value in canonical form: within a level parts are sorted by name, and no name occurs twice, so that
/// equal mixtures are equal, whoever wrote them in whatever order. A weight of zero is kept: the caller named the adapter.
package struct Mixture: Hashable, Sendable {
  /// How scales of several adapters at one place become one.
  package enum ScaleRule: String, Hashable, Sendable, CaseIterable {
    /// The product of 1 + weight (g - 1): with weights of 1 what peft does with several active adapters.
    case multiply
    /// 1 + the sum of weight (g - 1): with weights that sum to 1 their weighted average, which is what peft's
    /// `add_weighted_adapter` makes of IA3.
    case average
  }

  /// Sorted by level, then by name. Where order matters, this is the order of application.
  package let parts: [Part]
  package let scales: ScaleRule

  /// No adapter: the base alone.
  package static let base = Mixture(sorted: [], scales: .multiply)

  private init(sorted parts: [Part], scales: ScaleRule) {
    self.parts = parts
    self.scales = scales
  }

  /// Sorts and checks the parts; the levels that occur are numbered from 0. Throws for a name that adapters cannot have, a name
  /// that occurs twice, a weight that is infinite or not a number, and weights that contradict each other.
  package init(_ parts: [Part], scales: ScaleRule = .multiply) throws(MixtureError) {
    for part in parts { try part.validate() }
    var sorted = parts.sorted { ($0.level, $0.adapter) < ($1.level, $1.adapter) }
    let names = sorted.map(\.adapter).sorted()
    for (one, next) in zip(names, names.dropFirst()) where one == next { throw MixtureError(.duplicate(one)) }
    var number = -1
    var previous: Int?
    for index in sorted.indices {
      if sorted[index].level != previous { number += 1 }
      previous = sorted[index].level
      sorted[index].level = number
    }
    self.init(sorted: sorted, scales: sorted.isEmpty ? .multiply : scales)
  }

  /// Parts under each other: those of the first level act first.
  package init(stack: [[Part]], scales: ScaleRule = .multiply) throws(MixtureError) {
    var parts: [Part] = []
    for (level, members) in stack.enumerated() {
      for var part in members {
        part.level = level
        parts.append(part)
      }
    }
    try self.init(parts, scales: scales)
  }

  /// Whether parts stand under each other.
  package var isStacked: Bool { (parts.last?.level ?? 0) > 0 }

  /// The same without some adapters: what runs before an adapter that is invoked.
  package func without(_ names: Set<String>) -> Mixture {
    guard !names.isEmpty else { return self }
    let kept = parts.filter { !names.contains($0.adapter) }
    // Parts of a mixture make up a mixture.
    return (try? Mixture(kept, scales: scales)) ?? .base
  }

  /// Refuses layers that a base with `layerCount` layers does not have.
  package func validate(layerCount: Int) throws(MixtureError) {
    for part in parts where !part.isUniform {
      for layers in [part.layers] + part.modules.map(\.layers) {
        guard let layers, layers.last >= layerCount else { continue }
        throw MixtureError(.layerOutOfRange(adapter: part.adapter, found: layers, layerCount: layerCount))
      }
    }
  }

  /// Whether an adapter may have this name: ASCII letters, digits, `.`, `_` and `-`, at least one, and not `base`, which is
  /// the text of the mixture without adapters.
  package static func isName(_ text: String) -> Bool {
    !text.isEmpty && text != baseText
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  static let baseText = "base"
}
