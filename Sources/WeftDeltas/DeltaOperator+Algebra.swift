// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension DeltaOperator {
  /// The same change, `factor` times as strong; shares the tensors. `factor` times the scale must be finite.
  package func scaled(by factor: Float) throws(DeltaError) -> DeltaOperator {
    switch self {
    case .lowRank(let factors):
      .lowRank(try LowRank(a: factors.a, b: factors.b, scale: factors.scale * factor))
    }
  }

  /// The Frobenius norm of the materialised change, found without materialising it:
  /// |BA|^2 is the sum of the elementwise product of the two rank x rank Gram matrices B'B and AA'.
  package func norm() -> Double {
    switch self {
    case .lowRank(let factors):
      let a = factors.a.floats()
      let b = factors.b.floats()
      let (rank, width) = (factors.rank, factors.inputSize)
      var square = 0.0
      for r in 0..<rank {
        for s in 0...r {
          var gramA = 0.0
          for i in 0..<width { gramA += Double(a[r * width + i]) * Double(a[s * width + i]) }
          var gramB = 0.0
          for o in 0..<factors.outputSize { gramB += Double(b[o * rank + r]) * Double(b[o * rank + s]) }
          square += (r == s ? 1 : 2) * gramA * gramB
        }
      }
      // Rounding may take a vanishing sum below zero.
      return abs(Double(factors.scale)) * max(square, 0).squareRoot()
    }
  }
}
