// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension LowRank {
  /// The Frobenius norm of scale * B A, found without the product:
  /// |BA|^2 is the sum of the elementwise product of the two rank x rank Gram matrices B'B and AA'.
  package func norm() -> Double {
    let (a, b) = (valuesOfA(), valuesOfB())
    let width = inputSize
    var square = 0.0
    for r in 0..<rank {
      for s in 0...r {
        var gramA = 0.0
        for i in 0..<width { gramA += Double(a[r * width + i]) * Double(a[s * width + i]) }
        var gramB = 0.0
        for o in 0..<outputSize { gramB += Double(b[o * rank + r]) * Double(b[o * rank + s]) }
        square += (r == s ? 1 : 2) * gramA * gramB
      }
    }
    // Rounding may take a vanishing sum below zero.
    return abs(Double(scale)) * max(square, 0).squareRoot()
  }
}

extension DeltaOperator {
  /// The Frobenius norm of an additive change; nil for the others, whose change depends on the base or the token.
  package func norm() -> Double? {
    switch self {
    case .lowRank(let factors): factors.norm()
    case .structured: materialize()?.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
    case .gated, .scale, .rotate, .bias, .replace: nil
    }
  }

  /// An additive change as a matrix, [out * in] row-major: sums in Float64, rounded once. nil for the others. Not for the
  /// request path.
  package func materialize() -> [Float]? {
    guard isAdditive, let out = size.out, let width = size.in else { return nil }
    var sum = [Double](repeating: 0, count: out * width)
    addMatrix(to: &sum, weight: 1)
    return sum.map { Float($0) }
  }

  /// sum += weight * D for an additive change D [out, in]; nothing for the others.
  func addMatrix(to sum: inout [Double], weight: Double) {
    switch self {
    case .lowRank(let factors):
      let (a, b) = (factors.valuesOfA(), factors.valuesOfB())
      let (rank, width) = (factors.rank, factors.inputSize)
      for o in 0..<factors.outputSize {
        for r in 0..<rank {
          let factor = weight * Double(factors.scale) * Double(b[o * rank + r])
          for i in 0..<width { sum[o * width + i] += factor * Double(a[r * width + i]) }
        }
      }
    case .structured(let delta):
      let values = delta.matrix.materialize()
      let width = delta.matrix.inputSize
      let factor = weight * Double(delta.scale)
      for o in delta.rows {
        let target = (o - delta.rows.lowerBound) * width
        for i in 0..<width { sum[target + i] += factor * Double(values[o * width + i]) }
      }
    case .gated, .scale, .rotate, .bias, .replace: break
    }
  }
}
