// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension DeltaOperator {
  /// The change of the weight as a matrix, [out * in] row-major: sums in Float64, rounded once.
  package func materialize() -> [Float] { DeltaOperator.materialize(sumOf: [(1, self)]) }

  /// The weighted sum of several changes of one weight, [out * in] row-major: sums in Float64, rounded once.
  /// All terms have one shape, and there is at least one.
  package static func materialize(sumOf terms: [(weight: Float, delta: DeltaOperator)]) -> [Float] {
    guard let shape = terms.first?.delta.shape else { preconditionFailure("a sum of no deltas has no shape") }
    precondition(terms.allSatisfy { $0.delta.shape == shape })
    let rows = terms.map { $0.delta.rows(weight: $0.weight) }
    var result: [Float] = []
    result.reserveCapacity(shape.out * shape.in)
    var row = [Double](repeating: 0, count: shape.in)
    for o in 0..<shape.out {
      for i in row.indices { row[i] = 0 }
      for term in rows { term.add(o, to: &row) }
      for value in row { result.append(Float(value)) }
    }
    return result
  }

  private func rows(weight: Float) -> LowRankRows {
    switch self {
    case .lowRank(let factors):
      LowRankRows(
        a: factors.a.floats(), b: factors.b.floats(), rank: factors.rank, scale: Double(weight) * Double(factors.scale))
    }
  }

  /// The factors of one low-rank term as floats, read once for all rows.
  private struct LowRankRows {
    let a: [Float]
    let b: [Float]
    let rank: Int
    let scale: Double

    /// row += scale * (row `o` of B) A
    func add(_ o: Int, to row: inout [Double]) {
      for r in 0..<rank {
        let factor = scale * Double(b[o * rank + r])
        for i in row.indices { row[i] += factor * Double(a[r * row.count + i]) }
      }
    }
  }
}
