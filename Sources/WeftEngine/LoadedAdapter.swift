// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftTransformer

/// One version of an adapter, resident and immutable. Who activates it holds a reference: what the pool does to the name later
/// does not touch it.
final class LoadedAdapter: Sendable {
  /// Without factors of low rank: `deltas` makes those from what is packed.
  let adapter: Adapter
  let resident: ResidentAdapter
  /// What it can be mixed with.
  let profile: MixingProfile
  /// Counts the loads under this name, from 1.
  let version: Int
  /// Where it was read.
  let path: String
  /// Packed, and what of it is stored beside that.
  let byteCount: Int

  init(_ prepared: PreparedAdapter, version: Int) {
    adapter = prepared.adapter
    resident = prepared.resident
    profile = prepared.profile
    path = prepared.path
    byteCount = prepared.byteCount
    ranks = prepared.ranks
    self.version = version
    readsWholePrompts = prepared.adapter.deltas.operators.values.joined().contains {
      if case .gated(let experts) = $0 { experts.rule == .average } else { false }
    }
  }

  var name: String { adapter.name }
  /// The smallest and the largest rank; nil when nothing in it has a rank.
  let ranks: ClosedRange<Int>?
  /// The linear maps that it changes.
  var sites: [WeightSite] { resident.sites(adding: adapter.deltas) }

  /// All that it changes, with copies of the factors: for fusing and merging, not for steps.
  func deltas() throws(EngineError) -> DeltaSet {
    do { return try resident.deltas(adding: adapter.deltas) } catch { throw EngineError(error) }
  }

  /// Whether its experts are chosen by all rows of a step together: then a prompt must not be cut.
  let readsWholePrompts: Bool
  /// Whether it begins at tokens of the prompt.
  var isInvoked: Bool { adapter.deltas.invocation != nil }
  /// Positions that it takes before the tokens of a sequence.
  var promptCount: Int { adapter.deltas.prompt?.count ?? 0 }
}
