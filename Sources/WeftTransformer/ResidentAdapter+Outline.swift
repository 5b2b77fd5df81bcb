// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftTensors

/// What a low-rank change of one map is made of, without its numbers.
package struct LowRankOutline: Sendable {
  package let rank: Int
  package let scale: Float
  package let a: DType
  package let b: DType
}

extension ResidentAdapter {
  /// The low-rank changes by place, gated ones included.
  package var outlines: [WeightSite: LowRankOutline] {
    var outlines: [WeightSite: LowRankOutline] = [:]
    for (number, sites) in sites.enumerated() {
      let group = groupTable[number].pointee
      for (index, site) in sites.enumerated() {
        guard let part = group.part(index), let a = group.input(Int(part.input)) else { continue }
        outlines[site] = LowRankOutline(rank: part.rank, scale: part.scale, a: a.dtype, b: part.b.dtype)
      }
    }
    return outlines
  }
}
