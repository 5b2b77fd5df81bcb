// SPDX-License-Identifier: Apache-2.0

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
