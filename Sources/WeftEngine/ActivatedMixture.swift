// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTransformer

/// A mixture with its adapters as they were when it was activated, and what follows from both. Holds references: they stay,
/// whatever happens to their names.
struct ActivatedMixture {
  let mixture: Mixture
  /// One for each part, in order.
  let adapters: [LoadedAdapter]
  /// What `ActiveMixture` is made of. A prompt is there or not: one with weight 0 takes no positions.
  let members: [ActiveMixture.Member]
  /// The adapter whose prompt stands before the tokens; there is one at most.
  let promptAdapter: LoadedAdapter?
  /// The adapter whose experts are chosen by a pass over the base alone; there is one at most.
  let gateAdapter: LoadedAdapter?
  /// Whether a prompt has to be computed in one step.
  let readsWholePrompts: Bool
  /// Whether any adapter begins at a token of the prompt.
  let isInvoked: Bool
  let identity: KVIdentity
  /// What events and results call it.
  let canonical: AdapterMixture

  static let base = ActivatedMixture(mixture: .base, adapters: [])

  init(mixture: Mixture, adapters: [LoadedAdapter]) {
    self.mixture = mixture
    self.adapters = adapters
    members = zip(mixture.parts, adapters).compactMap { part, adapter in
      adapter.promptCount > 0 && part.weight(inLayer: nil) == 0 ? nil : (adapter: adapter.resident, part: part)
    }
    promptAdapter =
      zip(mixture.parts, adapters).first { part, adapter in
        adapter.promptCount > 0 && part.weight(inLayer: nil) != 0
      }?.1
    gateAdapter = adapters.first { $0.resident.needsGates }
    readsWholePrompts = adapters.contains { $0.readsWholePrompts }
    isInvoked = adapters.contains { $0.isInvoked }
    canonical = AdapterMixture(mixture)
    identity = mixture == .base ? .base : KVIdentity([.init(mixture: mixture, versions: adapters.map(\.version))])
  }

  /// The same without some adapters.
  func without(_ names: Set<String>) -> ActivatedMixture {
    guard !names.isEmpty else { return self }
    return ActivatedMixture(mixture: mixture.without(names), adapters: adapters.filter { !names.contains($0.name) })
  }
}
