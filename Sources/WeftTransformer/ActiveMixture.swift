// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas

/// The adapters of one mixture, resident, each with its weight: what a segment of a batch computes beside the base.
///
/// Making one copies a few pointers and a weight per adapter (and a table of weights where they differ from place to place); the
/// factors stay where they are. Their low-rank activations lie side by side: u = [A_1 x; A_2 x; ...], scaled by diag(w s).
/// `reweight` writes them anew.
package final class ActiveMixture {
  /// One adapter, with how it takes part.
  package typealias Member = (adapter: ResidentAdapter, part: Mixture.Part)

  struct Entry {
    let groups: UnsafePointer<UnsafePointer<ResidentAdapter.Group>>
    /// The weight everywhere, unless `weights` has others.
    var weight: Float
    /// Three for each input group, one for each of its maps; nil where all are `weight`.
    let weights: UnsafeMutablePointer<Float>?
    /// One for each layer; nil where all are `weight`.
    let layerWeights: UnsafeMutablePointer<Float>?
    var embeddingWeight: Float
    /// Where this adapter's low-rank activations begin in a row of u.
    let offset: Int
    let hasOperations: Bool
    let readsQuantized: Bool
    let norms: ResidentNorms?
    let gatedPrompts: ResidentGatedPrompts?
    let hidden: ResidentHidden.Table?
    /// In a stack, those of a lower level act first (`Mixture.Part.level`).
    let level: Int
    /// Whether scales of several adapters are averaged; otherwise they are multiplied.
    let averagesScales: Bool
    /// The adapter itself, for what a step does once per row or layer.
    let adapter: Unmanaged<ResidentAdapter>

    /// The weight of what it does to a map of an input group.
    @inline(__always)
    func weight(group: Int, part: Int) -> Float { weights.map { $0[group * 3 + part] } ?? weight }

    /// The weight of what it does to the hidden state of a layer.
    @inline(__always)
    func weight(layer: Int) -> Float { layerWeights.map { $0[layer] } ?? weight }
  }

  let entries: UnsafeMutableBufferPointer<Entry>
  private let adapters: [ResidentAdapter]
  private let hasTables: [Bool]
  /// Of each adapter with tables, what their numbers belong to.
  private var places: [Places] = []
  private let averagesScales: Bool
  /// Floats of a row of u that this mixture needs.
  package let width: Int

  /// - Parameter members: in the order in which they act where order matters.
  package init(_ members: [Member], scales: Mixture.ScaleRule = .multiply) {
    adapters = members.map(\.adapter)
    hasTables = members.map { !$0.part.isUniform }
    averagesScales = scales == .average
    width = members.reduce(0) { $0 + $1.adapter.width }
    entries = .allocate(capacity: members.count)
    var offset = 0
    for (index, (adapter, part)) in members.enumerated() {
      let own = part.isUniform ? Places() : Places(adapter)
      entries.initializeElement(
        at: index,
        to: Entry(
          groups: adapter.groupTable, weight: part.weight,
          weights: own.maps.isEmpty ? nil : .allocate(capacity: own.maps.count),
          layerWeights: own.layers.isEmpty ? nil : .allocate(capacity: own.layers.count), embeddingWeight: part.embeddingWeight,
          offset: offset, hasOperations: adapter.hasOperations,
          readsQuantized: adapter.readsQuantized, norms: adapter.norms,
          gatedPrompts: adapter.gatedPrompts, hidden: adapter.hidden?.table, level: part.level, averagesScales: averagesScales,
          adapter: .passUnretained(adapter)))
      places.append(own)
      write(part, to: index)
      offset += adapter.width
    }
  }

  /// Adapters with one weight each.
  package convenience init(_ parts: [(adapter: ResidentAdapter, weight: Float)]) {
    self.init(
      parts.enumerated().map { (index, part) in
        (part.adapter, Mixture.Part(adapter: "\(index)", weight: part.weight))
      })
  }

  deinit {
    for entry in entries {
      entry.weights?.deallocate()
      entry.layerWeights?.deallocate()
    }
    entries.deinitialize()
    entries.deallocate()
  }

  /// Writes new weights when these are the same adapters in the same order, with tables where they had tables; otherwise
  /// changes nothing and returns false. Nothing is allocated or copied. Not during a step.
  package func reweight(_ members: [Member], scales: Mixture.ScaleRule = .multiply) -> Bool {
    guard members.count == adapters.count, averagesScales == (scales == .average),
      zip(members, adapters).allSatisfy({ $0.adapter === $1 }), zip(members, entries).allSatisfy({ $0.part.level == $1.level }),
      zip(members, hasTables).allSatisfy({ $0.part.isUniform != $1 })
    else { return false }
    for index in entries.indices { write(members[index].part, to: index) }
    return true
  }

  package var isEmpty: Bool { entries.isEmpty }

  private func write(_ part: Mixture.Part, to index: Int) {
    entries[index].weight = part.weight
    entries[index].embeddingWeight = part.embeddingWeight
    if let weights = entries[index].weights { places[index].maps.withUnsafeBufferPointer { part.fill(weights, at: $0) } }
    if let weights = entries[index].layerWeights { places[index].layers.withUnsafeBufferPointer { part.fill(weights, at: $0) } }
  }
}

/// The places of an adapter that have weights, in the order of its tables.
private struct Places {
  var maps: [Mixture.Place] = []
  var layers: [Mixture.Place] = []

  init() {}

  init(_ adapter: ResidentAdapter) {
    // Where a group has fewer than three maps, the others are asked for by nobody.
    maps = adapter.sites.flatMap { sites in
      (0..<3).map { $0 < sites.count ? Mixture.Place(sites[$0]) : Mixture.Place(layer: nil) }
    }
    layers = (0..<adapter.layerCount).map { Mixture.Place(layer: $0) }
  }
}
