// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// What became of a tensor W that a change D was fused into, and that was written as Q(W + D): how much of both is left.
package struct FusedTensor: Sendable {
  /// In the file that was written.
  package let name: String
  private var sums = Sums()

  init(name: String) { self.name = name }

  /// |Q(W + D) - (W + D)| / |W + D|: what the format costs.
  package var error: Double { FusedTensor.ratio(sums.error, sums.weight) }
  /// |Q(W + D) - (W + D)| / |D|: the rounding beside the change. Above 1 there is more of it than of the change.
  package var noise: Double { FusedTensor.ratio(sums.error, sums.delta) }
  /// (Q(W + D) - W) . D / |D|^2: the share of the change that the written weights have in its own direction.
  package var survival: Double { sums.delta > 0 ? sums.along / sums.delta : 1 }
  /// The layer in its name; nil outside of layers.
  package var layer: Int? {
    let parts = name.split(separator: ".")
    return zip(parts, parts.dropFirst()).first { ["blk", "layers", "h"].contains($0.0) }.flatMap { Int($0.1) }
  }

  /// Several as one, under a name for all.
  package static func together(_ tensors: [FusedTensor], name: String) -> FusedTensor {
    FusedTensor(name: name).adding(tensors.map(\.sums))
  }

  func adding(_ rows: [Sums]) -> FusedTensor {
    var result = self
    for row in rows {
      result.sums.weight += row.weight
      result.sums.error += row.error
      result.sums.delta += row.delta
      result.sums.along += row.along
    }
    return result
  }

  private static func ratio(_ part: Double, _ whole: Double) -> Double { part == 0 ? 0 : (part / whole).squareRoot() }

  /// Sums of squares, and of one product, over some elements.
  struct Sums {
    fileprivate var weight = 0.0
    fileprivate var error = 0.0
    fileprivate var delta = 0.0
    fileprivate var along = 0.0

    init() {}

    /// Of one row.
    init(before: Tensor, fused: Tensor, row: Int, encoded: Tensor) {
      let columns = fused.columns
      withUnsafeTemporaryAllocation(of: Float.self, capacity: 3 * columns) { values in
        guard let base = values.baseAddress else { return }
        before.dequantizeRow(row, into: base)
        fused.dequantizeRow(row, into: base + columns)
        encoded.dequantizeRow(0, into: base + 2 * columns)
        for i in 0..<columns {
          let (old, wanted, found) = (Double(base[i]), Double(base[columns + i]), Double(base[2 * columns + i]))
          weight += wanted * wanted
          error += (found - wanted) * (found - wanted)
          delta += (wanted - old) * (wanted - old)
          along += (found - old) * (wanted - old)
        }
      }
    }
  }
}
