// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// The adapters that are loaded, by name: one version of each, beside old versions that somebody still uses.
///
/// Every activation holds references to its adapters: whatever happens to a name, what runs is not disturbed, and the memory of
/// an old version is free when the last user has ended.
struct AdapterPool {
  private struct Entry {
    var loaded: LoadedAdapter
    var isPinned: Bool
    var lastUse: Int
  }

  /// A mixture and what it was resolved to.
  private struct Activation {
    let requested: AdapterMixture
    let activated: ActivatedMixture
    var lastUse: Int
  }

  /// Bytes that adapters may take together; nil for as many as there is memory for.
  let budget: Int?
  private var entries: [String: Entry] = [:]
  /// Versions that no name leads to: replaced, unloaded or evicted. They are forgotten when nobody uses them.
  private var retired: [LoadedAdapter] = []
  /// Names whose adapter had to go, with where it can be read again.
  private(set) var evicted: [String: EvictedAdapter] = [:]
  /// The last version of every name that was ever loaded.
  private var versions: [String: Int] = [:]
  private var clock = 0
  /// What was activated last, to be activated again: between two tokens, every look-up shows. Forgotten before anything asks who uses
  /// an adapter, and when a name comes to mean another one.
  private var recent: [Activation] = []
  private static let recentCount = 8

  init(budget: Int?) { self.budget = budget }

  var names: [String] { entries.keys.sorted() }
  subscript(name: String) -> LoadedAdapter? { entries[name]?.loaded }
  func isPinned(_ name: String) -> Bool { entries[name]?.isPinned ?? false }

  /// Old versions that are in use.
  mutating func retiredInUse() -> [LoadedAdapter] {
    forgetActivations()
    var kept: [LoadedAdapter] = []
    while var last = retired.popLast() {
      if !isKnownUniquelyReferenced(&last) { kept.append(last) }
    }
    retired = kept
    return kept
  }

  /// Bytes of all adapters but those of some names, with old versions that are in use.
  mutating func byteCount(without names: [String]) -> Int {
    let all = entries.values.reduce(0) { $0 + $1.loaded.byteCount }
    let others = Set(names).reduce(0) { $0 + (entries[$1]?.loaded.byteCount ?? 0) }
    return all - others + retiredInUse().reduce(0) { $0 + $1.byteCount }
  }

  // MARK: - Loading

  /// Which adapters have to go so that one more fits into the budget: the least recently used ones that are neither pinned nor
  /// in use. Throws when that is not enough. Changes nothing.
  mutating func victims(for prepared: PreparedAdapter) throws(EngineError) -> [String] {
    guard let budget else { return [] }
    forgetActivations()
    let others = names.filter { $0 != prepared.name }
    let replaced = isInUse(prepared.name) ? entries[prepared.name]?.loaded.byteCount ?? 0 : 0
    let kept = retiredInUse().reduce(0) { $0 + $1.byteCount } + replaced
    var total = others.reduce(kept + prepared.byteCount) { $0 + (entries[$1]?.loaded.byteCount ?? 0) }
    var victims: [String] = []
    for name in others.sorted(by: { (entries[$0]?.lastUse ?? 0) < (entries[$1]?.lastUse ?? 0) }) where total > budget {
      guard !isPinned(name), !isInUse(name) else { continue }
      total -= entries[name]?.loaded.byteCount ?? 0
      victims.append(name)
    }
    guard total <= budget else {
      let pinned = others.filter { isPinned($0) }
      let used = others.filter { !isPinned($0) && isInUse($0) }
      let reasons = [("pinned", pinned), ("in use", used)].filter { !$0.1.isEmpty }
        .map { "\($0.0): \($0.1.joined(separator: ", "))" }
      throw EngineError(
        .outOfMemory,
        "adapter \(prepared.name): expected at most \(MemoryPlan.text(budget)) of adapters, as the options say, found "
          + "\(MemoryPlan.text(total)) that cannot go"
          + (reasons.isEmpty ? "" : " (\(reasons.joined(separator: "; ")))"))
    }
    return victims
  }

  /// Installs a new version under its name. A version that is replaced lives on while it is in use; a pin stays.
  mutating func insert(_ prepared: PreparedAdapter, evicting victims: [String]) {
    forgetActivations()
    for name in victims {
      guard let entry = entries.removeValue(forKey: name) else { continue }
      evicted[name] = EvictedAdapter(
        name: name, version: entry.loaded.version, path: entry.loaded.path, madeRoomFor: prepared.name)
    }
    let name = prepared.name
    let version = (versions[name] ?? 0) + 1
    versions[name] = version
    evicted[name] = nil
    let old = entries.removeValue(forKey: name)
    if let old { retired.append(old.loaded) }
    clock += 1
    entries[name] = Entry(
      loaded: LoadedAdapter(prepared, version: version), isPinned: old?.isPinned ?? false, lastUse: clock)
  }

  mutating func remove(_ name: String) throws(EngineError) {
    forgetActivations()
    guard let old = entries.removeValue(forKey: name) else {
      // Who unloads an adapter that was evicted wants to be rid of it.
      if evicted.removeValue(forKey: name) != nil { return }
      throw unknown(name)
    }
    retired.append(old.loaded)
  }

  mutating func setPinned(_ isPinned: Bool, _ name: String) throws(EngineError) {
    guard entries[name] != nil else { throw unknown(name) }
    entries[name]?.isPinned = isPinned
  }

  /// Whether anybody but the pool holds the adapter of this name. The caller must not.
  private mutating func isInUse(_ name: String) -> Bool {
    guard var entry = entries.removeValue(forKey: name) else { return false }
    defer { entries[name] = entry }
    return !isKnownUniquelyReferenced(&entry.loaded)
  }

  // MARK: - Activation

  /// The adapters that a mixture names, in its order.
  func adapters(of mixture: Mixture) throws(EngineError) -> [LoadedAdapter] {
    var result: [LoadedAdapter] = []
    result.reserveCapacity(mixture.parts.count)
    for part in mixture.parts {
      guard let entry = entries[part.adapter] else { throw unknown(part.adapter) }
      result.append(entry.loaded)
    }
    return result
  }

  /// What a mixture was resolved to, when that was lately. For the eviction of others, its adapters count as used now.
  mutating func activated(_ mixture: AdapterMixture) -> ActivatedMixture? {
    guard let index = recent.firstIndex(where: { $0.requested == mixture }) else { return nil }
    clock += 1
    recent[index].lastUse = clock
    return recent[index].activated
  }

  /// Remembers what a mixture was resolved to. For the eviction of others, its adapters count as used now.
  mutating func remember(_ mixture: AdapterMixture, _ activated: ActivatedMixture) {
    clock += 1
    if recent.count == AdapterPool.recentCount { markUsed(recent.removeFirst()) }
    recent.append(Activation(requested: mixture, activated: activated, lastUse: clock))
  }

  private mutating func forgetActivations() {
    for activation in recent { markUsed(activation) }
    recent = []
  }

  private mutating func markUsed(_ activation: Activation) {
    for adapter in activation.activated.adapters {
      guard let entry = entries[adapter.name], entry.loaded === adapter else { continue }
      entries[adapter.name]?.lastUse = max(entry.lastUse, activation.lastUse)
    }
  }

  /// The error for a name that is not loaded.
  func unknown(_ name: String) -> EngineError {
    if let adapter = evicted[name] {
      return EngineError(
        .notFound,
        "adapter \(name): its memory went to \(adapter.madeRoomFor), within \(MemoryPlan.text(budget ?? 0)) for adapters; "
          + "load it again from \(adapter.path), or pin it")
    }
    let known = names.isEmpty ? "none is loaded" : "loaded: \(names.joined(separator: ", "))"
    return EngineError(.notFound, "adapter \(name): no adapter of this name; \(known)")
  }
}

/// An adapter whose memory was needed for another one.
public struct EvictedAdapter: Sendable, Hashable {
  /// The name that requests used.
  public let name: String
  /// The version that went.
  public let version: Int
  /// Where it can be read again.
  public let path: String
  /// The adapter that got the memory.
  public let madeRoomFor: String
}
