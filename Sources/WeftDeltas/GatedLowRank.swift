// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// Several low-rank experts of one weight, and how strongly each acts on a token:
/// p += sum over e of gate_e(x) * scale_e * B_e (A_e x).
package struct GatedLowRank: Sendable {
  /// Where the gates come from.
  package enum Rule: Sendable, Equatable {
    /// Arrow (https://arxiv.org/abs/2405.11157): of |G x| the largest `topK`, then softmax(. / temperature) over those.
    case arrow(topK: Int, temperature: Float)
    /// Lily: softmax(G x), averaged over the rows of a segment that are computed in one step.
    case average
    /// X-LoRA (https://arxiv.org/abs/2402.07148): gates of this layer (its index in the classifier's output) that a pass
    /// over the base computed before: `DeltaSet.classifier`.
    case external(layer: Int)
  }

  /// A of all experts under each other [experts * rank, in], and B beside each other [out, experts * rank]; its scale is 1.
  package let factors: LowRank
  /// The scale of each expert.
  package let scales: [Float]
  /// G [experts, in]; nil for external gates.
  package let gate: Tensor?
  package let rule: Rule

  /// Checks that the sizes belong together.
  package init(factors: LowRank, scales: [Float], gate: Tensor?, rule: Rule) throws(DeltaError) {
    guard !scales.isEmpty, scales.allSatisfy(\.isFinite) else {
      throw .malformed(factor: "scales", expected: "a finite scale for each expert", found: "\(scales)")
    }
    guard factors.rank % scales.count == 0, factors.scale == 1 else {
      throw .malformed(
        factor: "a", expected: "a rank that divides by \(scales.count) experts, and scale 1",
        found: "\(factors.rank), \(factors.scale)")
    }
    let expected = [scales.count, factors.inputSize]
    if case .external = rule {
      guard gate == nil else { throw .malformed(factor: "gate", expected: "none", found: "one") }
    } else {
      guard let gate, gate.shape == expected else {
        throw .malformed(factor: "gate", expected: "shape \(expected)", found: "\(gate?.shape ?? [])")
      }
    }
    if case .arrow(let topK, let temperature) = rule {
      guard topK >= 1, temperature > 0, temperature.isFinite else {
        throw .malformed(
          factor: "gate", expected: "top k of at least 1, a positive temperature", found: "\(topK), \(temperature)")
      }
    }
    self.factors = factors
    self.scales = scales
    self.gate = gate
    self.rule = rule
  }

  package var expertCount: Int { scales.count }
  package var rankPerExpert: Int { factors.rank / scales.count }
  package var byteCount: Int { factors.byteCount + (gate?.byteCount ?? 0) + scales.count * 4 }
}
