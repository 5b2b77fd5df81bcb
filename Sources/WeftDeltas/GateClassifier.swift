// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// The network that turns the base's last hidden state (after the final norm) into gates for every layer and expert
/// (X-LoRA, https://arxiv.org/abs/2402.07148): linear maps with ReLU between them, then the rule.
package struct GateClassifier: Sendable {
  /// Weight [out, in] and bias [out] of each linear map.
  package let layers: [(weight: Tensor, bias: [Float]?)]
  package let expertCount: Int
  /// Layers with gates of their own; 1 when all share theirs.
  package let layerCount: Int
  /// nil: no softmax.
  package let temperature: Float?
  /// Keep only the largest scores of each layer; nil keeps all.
  package let topK: Int?
  /// Softmax once more over what was kept.
  package let normalizesKept: Bool
  /// Multiplies every gate.
  package let scale: Float

  package init(
    layers: [(weight: Tensor, bias: [Float]?)], expertCount: Int, layerCount: Int, temperature: Float?, topK: Int?,
    normalizesKept: Bool, scale: Float
  ) throws(DeltaError) {
    guard let last = layers.last, expertCount > 0, layerCount > 0, last.weight.rows == expertCount * layerCount,
      zip(layers, layers.dropFirst()).allSatisfy({ $0.weight.rows == $1.weight.columns })
    else {
      throw .malformed(
        factor: "classifier", expected: "linear maps that end with \(expertCount) x \(layerCount) scores",
        found: "\(layers.map(\.weight.shape))")
    }
    self.layers = layers
    self.expertCount = expertCount
    self.layerCount = layerCount
    self.temperature = temperature
    self.topK = topK
    self.normalizesKept = normalizesKept
    self.scale = scale
  }

  package var byteCount: Int { layers.reduce(0) { $0 + $1.weight.byteCount + ($1.bias?.count ?? 0) * 4 } }
}
