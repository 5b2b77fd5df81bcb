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
  /// The smallest and the largest rank.
  public let ranks: ClosedRange<Int>
  /// Bytes in memory.
  public let byteCount: Int
}

extension Engine {
  /// The loaded adapters, by name.
  public var adapters: [AdapterSummary] {
    adapterPool.names.compactMap { name in
      guard let loaded = adapterPool[name] else { return nil }
      let deltas = loaded.adapter.deltas
      return AdapterSummary(
        name: name, family: loaded.adapter.family, baseModel: loaded.adapter.baseModel,
        siteCount: deltas.operators.count, ranks: deltas.ranks ?? 0...0, byteCount: loaded.resident.byteCount)
    }
  }

  /// What the engine and its adapters take in memory.
  public var memoryPlan: MemoryPlan {
    var plan = basePlan
    for name in adapterPool.names {
      if let loaded = adapterPool[name] { plan.add(adapter: name, byteCount: loaded.byteCount) }
    }
    return plan
  }

  /// Loads a PEFT folder under a name. Running sequences are not disturbed: one that uses an adapter of this name keeps the one
  /// that it began with. What would make the engine larger than its options allow is refused.
  public func loadAdapter(_ name: String, from path: String) throws(EngineError) {
    let adapter: Adapter
    do { adapter = try AdapterReader.read(folder: path, name: name, base: weights.base) } catch { throw EngineError(error) }
    do {
      let resident = try ResidentAdapter(adapter.deltas, groups: weights.inputGroups, pool: pool)
      let loaded = AdapterPool.Loaded(adapter: adapter, resident: resident)
      var plan = memoryPlan
      plan.add(adapter: name, byteCount: loaded.byteCount)
      try plan.validate()
      adapterPool.insert(loaded)
      ProcessMemory.trimHeap()
    } catch let error as StorageError { throw EngineError(error) } catch let error as EngineError { throw error } catch {
      throw EngineError(.outOfMemory, "\(error)")
    }
  }

  /// Forgets an adapter. Its memory is free when the last sequence that uses it has ended.
  public func unloadAdapter(_ name: String) throws(EngineError) {
    guard adapterPool[name] != nil else { throw adapterPool.unknown(name) }
    adapterPool.remove(name)
  }

  /// What is fused into the base; empty when nothing is.
  public var fusedAdapters: [WeightedAdapter] { fused.parts.map { WeightedAdapter($0.adapter, weight: $0.weight) } }

  /// Puts W + sum of weight * dW into the base's weights. For float bases, while no sequence is in flight, once at a time.
  public func fuse(_ adapters: [WeightedAdapter]) throws(EngineError) {
    try requireIdle("fuse")
    guard fused == .base else {
      throw EngineError(.busy, "fuse: expected an unfused base, found \(fused) fused into it; unfuse first")
    }
    let mixture = try Engine.mixture(adapters)
    var deltas: [(set: DeltaSet, weight: Float)] = []
    for part in mixture.parts {
      guard let loaded = adapterPool[part.adapter] else { throw adapterPool.unknown(part.adapter) }
      deltas.append((loaded.adapter.deltas, part.weight))
    }
    do { try weights.fuse(deltas) } catch { throw EngineError(error) }
    fusedDeltas = deltas.map(\.set)
    fused = mixture
  }

  /// Restores the base bit for bit. Does nothing when nothing is fused.
  public func unfuse() throws(EngineError) {
    try requireIdle("unfuse")
    weights.unfuse(fusedDeltas)
    fusedDeltas = []
    fused = .base
  }

  func requireIdle(_ what: String) throws(EngineError) {
    guard sequenceCount == 0 else {
      throw EngineError(.busy, "\(what): expected no sequence in flight, found \(sequenceCount)")
    }
  }

  static func mixture(_ adapters: [WeightedAdapter]) throws(EngineError) -> Mixture {
    do { return try Mixture(adapters.map { Mixture.Part(adapter: $0.name, weight: $0.weight) }) } catch {
      throw EngineError(error)
    }
  }
}
