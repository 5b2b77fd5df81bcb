// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
internal import WeftTensors

extension ResidentAdapter {
  /// The delta set that it was packed from: `rest`, which is that set without low rank, with the factors as they are packed, whose
  /// values are the same bit for bit. Several low ranks of one place come back as one of their ranks together. Copies the factors.
  package func deltas(adding rest: DeltaSet) throws(ResidentError) -> DeltaSet {
    var deltas = rest
    for (index, group) in sites.enumerated() {
      let packed = groupTable[index].pointee
      for (position, site) in group.enumerated() {
        guard let part = packed.part(position), part.gate == nil, let a = packed.input(Int(part.input)) else { continue }
        deltas.operators[site, default: []].append(.lowRank(try ResidentAdapter.factors(part, a, packed)))
      }
    }
    return deltas
  }

  private static func factors(_ part: Part, _ a: MatrixView, _ group: Group) throws(ResidentError) -> LowRank {
    let first = part.offset - group.firstRow(ofInput: Int(part.input))
    let rows = first..<first + part.rank
    let (unpacked, b): (Tensor, Tensor)
    do throws(StorageError) {
      let own = try a.unpacked(rows: rows, scale: a.dtype == .ternary ? part.aScale : 1)
      let isFolded = a.dtype != .ternary && part.aScale != 1
      unpacked = isFolded ? try Tensor(own.floats().map { $0 * part.aScale }, shape: own.shape) : own
      b = try part.b.unpacked(rows: 0..<part.b.rows, scale: part.bScale)
    } catch { throw .storage(error) }
    do { return try LowRank(a: unpacked, b: b, scale: part.ownScale) } catch { throw .delta(error) }
  }

  /// The maps that it changes, in the order of the model, as far as they have low rank or are in `rest`.
  package func sites(adding rest: DeltaSet) -> [WeightSite] {
    var found = Set(rest.operators.keys)
    for (index, group) in sites.enumerated() {
      for (position, site) in group.enumerated() where groupTable[index].pointee.part(position) != nil { found.insert(site) }
    }
    return found.sorted()
  }
}
