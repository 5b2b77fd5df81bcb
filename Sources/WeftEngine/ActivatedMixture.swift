// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTransformer

/// A mixture with its adapters as they were when it was activated. Holds references: they stay, whatever happens to their names.
struct ActivatedMixture {
  let mixture: Mixture
  /// One for each part, in order.
  let adapters: [LoadedAdapter]

  static let base = ActivatedMixture(mixture: .base, adapters: [])

  /// What `ActiveMixture` is made of. A prompt is there or not: one with weight 0 takes no positions.
  var members: [ActiveMixture.Member] {
    zip(mixture.parts, adapters).compactMap { part, adapter in
      adapter.promptCount > 0 && part.weight(inLayer: nil) == 0 ? nil : (adapter: adapter.resident, part: part)
    }
  }

  /// The adapter whose prompt stands before the tokens; there is one at most.
  var promptAdapter: LoadedAdapter? {
    zip(mixture.parts, adapters).first { part, adapter in
      adapter.promptCount > 0 && part.weight(inLayer: nil) != 0
    }?.1
  }

  /// The adapter whose experts are chosen by a pass over the base alone; there is one at most.
  var gateAdapter: LoadedAdapter? { adapters.first { $0.resident.needsGates } }
  /// Whether a prompt has to be computed in one step.
  var readsWholePrompts: Bool { adapters.contains { $0.readsWholePrompts } }

  /// The same without some adapters.
  func without(_ names: Set<String>) -> ActivatedMixture {
    guard !names.isEmpty else { return self }
    return ActivatedMixture(mixture: mixture.without(names), adapters: adapters.filter { !names.contains($0.name) })
  }

  var identity: KVIdentity {
    mixture == .base ? .base : KVIdentity([.init(mixture: mixture, versions: adapters.map(\.version))])
  }
}
