// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors
internal import WeftTransformer

/// Reads adapters for one engine, on any thread: an engine is not disturbed by what is being read.
///
///     let loader = engine.adapterLoader                       // on the engine's thread
///     let chef = try loader.prepare("chef", from: "chef/")    // on another one
///     try engine.install(chef)                                // on the engine's thread, between steps
public struct AdapterLoader: Sendable {
  let base: BaseModel
  private let groups: [[WeightSite]]
  private let fingerprint: String
  /// Threads of the engine's steps.
  private let threads: Int
  private let policy: PackPolicy
  /// What the adapters of a library have in common.
  private let shared: SharedTensors

  init(_ weights: ModelWeights, threads: Int, policy: PackPolicy, shared: SharedTensors) {
    self.policy = policy
    self.threads = threads
    self.shared = shared
    base = weights.base
    groups = weights.inputGroups
    fingerprint = weights.fingerprint
  }

  /// Reads, checks, resolves and packs an adapter. It has no effect before it is installed.
  public func prepare(
    _ name: String, from path: String, options: AdapterLoadOptions = .init()
  ) throws(EngineError) -> PreparedAdapter {
    let pool: ThreadPool
    do { pool = try ThreadPool(threads: 1) } catch { throw EngineError(.outOfMemory, "adapter \(name): \(error)") }
    return try prepare(name, from: path, options: options, pool: pool)
  }

  func prepare(
    _ name: String, from path: String, options: AdapterLoadOptions, pool: ThreadPool
  ) throws(EngineError) -> PreparedAdapter {
    let choices = try options.options(for: path)
    let adapter: Adapter
    do {
      adapter = try AdapterReader.read(
        folder: path, name: name, base: base, options: choices, policy: policy, shared: shared)
    } catch {
      throw EngineError(error)
    }
    return try prepare(adapter, from: path, pool: pool)
  }

  /// Packs an adapter that was made in memory. It has no effect before it is installed.
  package func prepare(_ adapter: Adapter) throws(EngineError) -> PreparedAdapter {
    let pool: ThreadPool
    do { pool = try ThreadPool(threads: 1) } catch { throw EngineError(.outOfMemory, "adapter \(adapter.name): \(error)") }
    return try prepare(adapter, from: adapter.provenance.folder, pool: pool)
  }

  /// Packs an adapter that is in memory. `path` says where it comes from, for people.
  func prepare(_ adapter: Adapter, from path: String, pool: ThreadPool) throws(EngineError) -> PreparedAdapter {
    do {
      let resident = try ResidentAdapter(adapter.deltas, groups: groups, pool: pool, threads: threads)
      return PreparedAdapter(
        adapter: adapter.with(adapter.deltas.withoutLowRank), resident: resident, ranks: adapter.deltas.ranks,
        profile: MixingProfile(adapter.deltas), path: path, base: fingerprint)
    } catch { throw EngineError(error) }
  }
}

/// An adapter in memory, ready to be installed into the engine whose loader read it.
public struct PreparedAdapter: Sendable {
  /// Without factors of low rank, which are packed in `resident`.
  let adapter: Adapter
  let resident: ResidentAdapter
  let ranks: ClosedRange<Int>?
  let profile: MixingProfile
  /// Where it was read.
  public let path: String
  /// Names the base that it was packed for, as `ModelSummary.fingerprint` does.
  public let base: String

  /// The name that requests will use.
  public var name: String { adapter.name }
  /// Bytes that it takes: packed, and what of it is stored beside that.
  public var byteCount: Int { adapter.byteCount + resident.byteCount }
}
