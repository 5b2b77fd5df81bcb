// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftTransformer

/// The adapters that are loaded, by name. A mixture in use keeps its adapters alive whatever happens here.
struct AdapterPool {
  struct Loaded {
    let adapter: Adapter
    let resident: ResidentAdapter
    /// Packed, and as it is stored.
    var byteCount: Int { adapter.byteCount + resident.byteCount }
  }

  private var loaded: [String: Loaded] = [:]

  var names: [String] { loaded.keys.sorted() }
  subscript(name: String) -> Loaded? { loaded[name] }

  mutating func insert(_ adapter: Loaded) { loaded[adapter.adapter.name] = adapter }
  mutating func remove(_ name: String) { loaded[name] = nil }

  /// The resident form of a mixture; nil for the base alone. Unknown names, and mixtures wider than `limit`, are refused.
  /// `current`, which nobody else uses, is re-weighted when it has the same adapters.
  func activate(_ mixture: Mixture, limit: Int, reusing current: ActiveMixture? = nil) throws(EngineError) -> ActiveMixture? {
    guard !mixture.parts.isEmpty else { return nil }
    var parts: [(adapter: ResidentAdapter, weight: Float)] = []
    for part in mixture.parts {
      guard let found = loaded[part.adapter] else { throw unknown(part.adapter) }
      parts.append((found.resident, part.weight))
    }
    if let current, current.reweight(parts) { return current }
    let active = ActiveMixture(parts)
    guard active.width <= limit else {
      throw EngineError(
        .outOfMemory,
        "mixture \(mixture): expected active ranks of at most \(limit) together, found \(active.width); "
          + "open the engine with a larger maximum active rank")
    }
    return active
  }

  /// The error for a name that is not loaded.
  func unknown(_ name: String) -> EngineError {
    let known = names.isEmpty ? "none is loaded" : "loaded: \(names.joined(separator: ", "))"
    return EngineError(.notFound, "adapter \(name): no adapter of this name; \(known)")
  }
}
