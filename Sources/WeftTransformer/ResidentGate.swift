// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas

/// How strongly each expert of a gated low rank acts on a token. In a row of u the scores of the experts follow the experts'
/// activations; `apply` turns them into gates and scales the activations.
struct ResidentGate {
  let rule: GatedLowRank.Rule
  let expertCount: Int
  let rank: Int
  let scales: UnsafePointer<Float>

  init(_ experts: GatedLowRank, scales: UnsafePointer<Float>) {
    rule = experts.rule
    expertCount = experts.expertCount
    rank = experts.rankPerExpert
    self.scales = scales
  }

  /// u *= weight * gate_e * scale_e for the rows of a segment.
  /// - Parameters:
  ///   - u: the activations of the first expert in the first row.
  ///   - external: gates [experts] of this layer for the first row, `externalStride` floats apart; for the rule `external`.
  func apply(
    _ u: UnsafeMutablePointer<Float>, stride: Int, rows: Int, weight: Float, external: UnsafePointer<Float>?,
    externalStride: Int
  ) {
    let scores = u + expertCount * rank
    switch rule {
    case .arrow(let topK, let temperature):
      for row in 0..<rows {
        let gates = scores + row * stride
        chooseLargest(gates, topK: topK, temperature: temperature)
        scale(u + row * stride, by: gates, weight)
      }
    case .average:
      // The mean is collected in the first row, in the order of the rows.
      for row in 0..<rows { softmax(scores + row * stride) }
      for row in 1..<max(rows, 1) { for e in 0..<expertCount { scores[e] += scores[row * stride + e] } }
      for e in 0..<expertCount { scores[e] /= Float(rows) }
      for row in 0..<rows { scale(u + row * stride, by: scores, weight) }
    case .external(let layer):
      for row in 0..<rows {
        guard let external else {
          for i in 0..<expertCount * rank { u[row * stride + i] = 0 }
          continue
        }
        scale(u + row * stride, by: external + row * externalStride + layer * expertCount, weight)
      }
    }
  }

  private func scale(_ u: UnsafeMutablePointer<Float>, by gates: UnsafePointer<Float>, _ weight: Float) {
    for e in 0..<expertCount {
      let factor = weight * gates[e] * scales[e]
      for i in 0..<rank { u[e * rank + i] *= factor }
    }
  }

  private func softmax(_ scores: UnsafeMutablePointer<Float>) {
    var largest = scores[0]
    for e in 1..<max(expertCount, 1) { largest = max(largest, scores[e]) }
    var sum: Float = 0
    for e in 0..<expertCount {
      scores[e] = exp(scores[e] - largest)
      sum += scores[e]
    }
    for e in 0..<expertCount { scores[e] /= sum }
  }

  /// Softmax over the `topK` largest magnitudes; 0 for the others. Of equals the first is kept.
  private func chooseLargest(_ scores: UnsafeMutablePointer<Float>, topK: Int, temperature: Float) {
    var largest: Float = 0
    for e in 0..<expertCount {
      scores[e] = abs(scores[e])
      largest = max(largest, scores[e])
    }
    // Marked by a negative number, which no magnitude is.
    for _ in 0..<max(expertCount - topK, 0) {
      var least = -1
      for e in 0..<expertCount where scores[e] >= 0 && (least < 0 || scores[e] <= scores[least]) { least = e }
      scores[least] = -1
    }
    var sum: Float = 0
    for e in 0..<expertCount where scores[e] >= 0 {
      scores[e] = exp((scores[e] - largest) / temperature)
      sum += scores[e]
    }
    for e in 0..<expertCount { scores[e] = scores[e] < 0 ? 0 : scores[e] / sum }
  }
}
