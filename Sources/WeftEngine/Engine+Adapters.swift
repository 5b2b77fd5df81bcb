// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftTensors
internal import WeftTransformer

/// An adapter that is loaded.
public struct AdapterSummary: Sendable {
  /// The name that requests use.
  public let name: String
  /// The family, as in `LoRA`.
  public let family: String
  /// What its file says it was trained on.
  public let baseModel: String?
  /// Weight matrices that it changes.
  public let siteCount: Int
  /// The smallest and the largest rank; nil when nothing in it has a rank.
  public let ranks: ClosedRange<Int>?
  /// Bytes that are resident for the kernels.
  public let byteCount: Int
  /// Counts the loads under this name, from 1: a name that is loaded again is another adapter.
  public let version: Int
  /// Where it was read.
  public let path: String
  /// Whether it is kept when another adapter needs memory.
  public let isPinned: Bool
  /// Sequences in flight that it is active in.
  public let sequenceCount: Int
}

extension Engine {
  /// The loaded adapters, by name.
  public var adapters: [AdapterSummary] {
    adapterPool.names.compactMap { name in
      guard let loaded = adapterPool[name] else { return nil }
      return AdapterSummary(
        name: name, family: loaded.adapter.family, baseModel: loaded.adapter.baseModel,
        siteCount: loaded.sites.count, ranks: loaded.ranks, byteCount: loaded.resident.byteCount,
        version: loaded.version, path: loaded.path, isPinned: adapterPool.isPinned(name),
        sequenceCount: (waiting + running).filter { $0.activated.adapters.contains { $0 === loaded } }.count)
    }
  }

  /// Adapters that had to go, by name: `EngineOptions.adapterBudget` was needed for others. Requests that name one are refused until
  /// it is loaded again.
  public var evictedAdapters: [EvictedAdapter] { adapterPool.evicted.values.sorted { $0.name < $1.name } }

  /// What the engine and its adapters take in memory.
  public var memoryPlan: MemoryPlan {
    var plan = basePlan
    plan.append(adapters: adapterPool.names.map { ($0, adapterPool[$0]?.byteCount ?? 0) })
    plan.append(adapters: adapterPool.retiredInUse().map { ("\($0.name) (version \($0.version))", $0.byteCount) })
    plan.add(adapterWorkspace: transformer.adapterWorkspaceByteCount)
    return plan
  }

  /// Reads adapters for this engine on any thread.
  public var adapterLoader: AdapterLoader {
    AdapterLoader(weights, threads: options.threads, policy: packPolicy, shared: sharedTensors)
  }

  /// Reads an adapter and installs it under a name: `AdapterLoader.prepare` and `install` in one. The engine's threads help to
  /// pack it, and nothing else runs meanwhile.
  public func loadAdapter(
    _ name: String, from path: String, options: AdapterLoadOptions = .init()
  ) throws(EngineError) {
    try install(adapterLoader.prepare(name, from: path, options: options, pool: pool))
  }

  /// Makes an adapter usable under its name, as a new version of it. Sequences in flight are not disturbed: one that uses this name
  /// keeps the version that it began with. Adapters that were used least recently go when the budget asks for it; what would make
  /// the engine larger than its options allow is refused, and nothing is changed.
  public func install(_ prepared: PreparedAdapter) throws(EngineError) {
    guard prepared.base == weights.fingerprint else {
      throw EngineError(
        .invalidArgument,
        "adapter \(prepared.name): expected one that was read for base \(weights.fingerprint), found one for \(prepared.base)")
    }
    if prepared.adapter.provenance.isPack { basePlan.addPacks() }
    let victims = try adapterPool.victims(for: prepared)
    let workspace: Int
    do { workspace = try transformer.adapterWorkspaceByteCount(with: prepared.resident) } catch { throw EngineError(error) }
    // The whole plan names every adapter: it is made only to say why not.
    let adapters = adapterPool.byteCount(without: victims + [prepared.name]) + prepared.byteCount
    if !basePlan.allows(basePlan.byteCount + adapters + workspace) {
      var plan = memoryPlan
      for name in victims { plan.remove(adapter: name) }
      plan.add(adapter: prepared.name, byteCount: prepared.byteCount)
      plan.add(adapterWorkspace: workspace)
      try plan.validate()
    }
    do { try transformer.reserve(for: prepared.resident) } catch { throw EngineError(error) }
    adapterPool.insert(prepared, evicting: victims)
    ProcessMemory.trimHeap()
  }

  /// Forgets an adapter. Its memory is free when the last sequence that uses it has ended.
  public func unloadAdapter(_ name: String) throws(EngineError) { try adapterPool.remove(name) }

  /// Keeps an adapter in memory, whatever the budget says; a version that replaces it is pinned too.
  public func pinAdapter(_ name: String) throws(EngineError) { try adapterPool.setPinned(true, name) }

  /// Lets an adapter go again when the budget asks for it.
  public func unpinAdapter(_ name: String) throws(EngineError) { try adapterPool.setPinned(false, name) }

  /// What is fused into the base; empty when nothing is.
  public var fusedAdapters: [WeightedAdapter] { AdapterMixture(fused.mixture).adapters }

  /// Puts W + sum of weight * dW into the base's weights. For float bases, while no sequence is in flight, once at a time.
  public func fuse(_ adapters: AdapterMixture) throws(EngineError) {
    try requireIdle("fuse")
    guard fused.mixture == .base else {
      throw EngineError(.busy, "fuse: expected an unfused base, found \(fused.mixture) fused into it; unfuse first")
    }
    let activated = try activated(adapters)
    var deltas: [(set: DeltaSet, part: Mixture.Part)] = []
    for (part, adapter) in zip(activated.mixture.parts, activated.adapters) { deltas.append((try adapter.deltas(), part)) }
    do { try weights.fuse(deltas, scales: activated.mixture.scales) } catch { throw EngineError(error) }
    fused = activated
    blocks.forgetAll()
  }

  /// Restores the base bit for bit. Does nothing when nothing is fused.
  public func unfuse() throws(EngineError) {
    try requireIdle("unfuse")
    guard fused.mixture != .base else { return }
    // Only the places matter.
    weights.unfuse(
      fused.adapters.map { adapter in
        var places = DeltaSet()
        for site in adapter.sites { places.operators[site] = [] }
        return places
      })
    fused = .base
    blocks.forgetAll()
  }

  func requireIdle(_ what: String) throws(EngineError) {
    guard sequenceCount == 0 else {
      throw EngineError(.busy, "\(what): expected no sequence in flight, found \(sequenceCount)")
    }
  }
}
