// SPDX-License-Identifier: Apache-2.0

/// The adapters of one mixture, resident, each with its weight: what a segment of a batch computes beside the base.
///
/// Making one copies a pointer and a weight per adapter; the factors stay where they are. Their low-rank activations lie side
/// by side: u = [A_1 x; A_2 x; ...], scaled by diag(w s). `reweight` writes them anew.
package final class ActiveMixture {
  struct Entry {
    let groups: UnsafePointer<ResidentAdapter.Group>
    var weight: Float
    /// Where this adapter's low-rank activations begin in a row of u.
    let offset: Int
  }

  let entries: UnsafeMutableBufferPointer<Entry>
  private let adapters: [ResidentAdapter]
  /// Floats of a row of u that this mixture needs.
  package let width: Int

  package init(_ parts: [(adapter: ResidentAdapter, weight: Float)]) {
    adapters = parts.map(\.adapter)
    entries = .allocate(capacity: parts.count)
    var offset = 0
    for (index, part) in parts.enumerated() {
      entries.initializeElement(
        at: index, to: Entry(groups: part.adapter.groupTable, weight: part.weight, offset: offset))
      offset += part.adapter.width
    }
    width = offset
  }

  deinit { entries.deallocate() }

  /// Writes new weights when these are the same adapters in the same order; otherwise changes nothing and returns false.
  /// Nothing is allocated or copied. Not during a step.
  package func reweight(_ parts: [(adapter: ResidentAdapter, weight: Float)]) -> Bool {
    guard parts.count == adapters.count, zip(parts, adapters).allSatisfy({ $0.adapter === $1 }) else { return false }
    for index in entries.indices { entries[index].weight = parts[index].weight }
    return true
  }

  package var isEmpty: Bool { entries.isEmpty }
}
