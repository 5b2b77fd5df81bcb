// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// A place in the residual stream.
package enum HiddenSite: Hashable, Sendable {
  /// What attention adds to the stream, before it is added.
  case attentionOutput(Int)
  /// What the feed-forward adds to the stream, before it is added.
  case feedForwardOutput(Int)
  /// The stream behind a layer.
  case layerOutput(Int)

  package var layer: Int {
    switch self {
    case .attentionOutput(let layer), .feedForwardOutput(let layer), .layerOutput(let layer): layer
    }
  }
}

/// What an adapter does to a hidden state.
package enum HiddenDelta: Sendable {
  /// h += vector [hidden] (steering and control vectors).
  case steering([Float])
  case bottleneck(Bottleneck)

  package var name: String {
    switch self {
    case .steering: "steering"
    case .bottleneck: "bottleneck"
    }
  }

  package var byteCount: Int {
    switch self {
    case .steering(let vector): vector.count * 4
    case .bottleneck(let module): module.byteCount
    }
  }
}

/// A small feed-forward module in the stream: up(act(down(n) + b) + c) * scale, with what it reads and adds to
/// (Houlsby et al. 2019, https://arxiv.org/abs/1902.00751; Pfeiffer et al. 2020, https://arxiv.org/abs/2005.00247).
package struct Bottleneck: Sendable {
  package enum Activation: Sendable, Equatable { case relu, gelu, geluTanh, silu, tanh, identity }

  /// [size, hidden]
  package let down: Tensor
  package let downBias: [Float]?
  /// [hidden, size]
  package let up: Tensor
  package let upBias: [Float]?
  package let activation: Activation
  package let scale: Float
  /// Whether it reads the sum of the sublayer's answer and the stream; otherwise the answer alone.
  package let readsSum: Bool

  package init(
    down: Tensor, downBias: [Float]?, up: Tensor, upBias: [Float]?, activation: Activation, scale: Float, readsSum: Bool
  ) throws(DeltaError) {
    guard down.shape.count == 2, up.shape == [down.shape[1], down.shape[0]], down.elementCount > 0 else {
      throw .malformed(factor: "up", expected: "the transposed shape of down \(down.shape)", found: "\(up.shape)")
    }
    guard downBias.map({ $0.count == down.rows }) ?? true, upBias.map({ $0.count == up.rows }) ?? true, scale.isFinite else {
      throw .malformed(factor: "bias", expected: "biases as long as their outputs, a finite scale", found: "others")
    }
    self.down = down
    self.downBias = downBias
    self.up = up
    self.upBias = upBias
    self.activation = activation
    self.scale = scale
    self.readsSum = readsSum
  }

  package var byteCount: Int {
    down.byteCount + up.byteCount + ((downBias?.count ?? 0) + (upBias?.count ?? 0)) * 4
  }
}
