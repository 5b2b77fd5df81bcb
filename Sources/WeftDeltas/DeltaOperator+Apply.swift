// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension DeltaOperator {
  /// y += weight * delta(x), for one vector. The definition that the kernels of the token loop are tested against:
  /// sums in Float64, one rounding where a product is added to `y`.
  ///
  /// `x` has `shape.in` elements, `y` has `shape.out`.
  package func apply(_ x: [Float], weight: Float = 1, addingTo y: inout [Float]) {
    precondition(x.count == shape.in && y.count == shape.out)
    switch self {
    case .lowRank(let factors):
      let a = factors.a.floats()
      let b = factors.b.floats()
      let rank = factors.rank
      var hidden = [Double](repeating: 0, count: rank)
      for r in 0..<rank {
        for (i, value) in x.enumerated() { hidden[r] += Double(a[r * x.count + i]) * Double(value) }
      }
      let scale = Double(weight) * Double(factors.scale)
      for o in y.indices {
        var sum = 0.0
        for r in 0..<rank { sum += Double(b[o * rank + r]) * hidden[r] }
        y[o] = Float(Double(y[o]) + scale * sum)
      }
    }
  }
}
