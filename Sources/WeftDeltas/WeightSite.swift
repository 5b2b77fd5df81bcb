// SPDX-License-Identifier: Apache-2.0

/// A weight matrix of the base that a delta may attach to: the one way to name a place in the model.
///
/// Sites are ordered as the model uses them: layer by layer, experts after what their layer shares, the output head last.
package enum WeightSite: Hashable, Sendable {
  case layer(Int, Projection)
  /// Layer, expert, and one of `gate`, `up`, `down`.
  case expert(Int, Int, Projection)
  /// The final projection (`lm_head`), where it is a matrix of its own and not the embedding.
  case outputHead

  /// The decoder layer; nil for the head.
  package var layer: Int? {
    switch self {
    case .layer(let layer, _), .expert(let layer, _, _): layer
    case .outputHead: nil
    }
  }
}

extension WeightSite: CustomStringConvertible {
  /// `layers.3.q_proj`, `layers.3.experts.5.up_proj` or `lm_head`.
  package var description: String {
    switch self {
    case .layer(let layer, let projection): "layers.\(layer).\(projection.name)"
    case .expert(let layer, let expert, let projection): "layers.\(layer).experts.\(expert).\(projection.name)"
    case .outputHead: "lm_head"
    }
  }
}

extension WeightSite: Comparable {
  package static func < (left: WeightSite, right: WeightSite) -> Bool { left.position < right.position }

  private var position: (Int, Int, Int) {
    switch self {
    case .layer(let layer, let projection): (layer, -1, projection.rawValue)
    case .expert(let layer, let expert, let projection): (layer, expert, projection.rawValue)
    case .outputHead: (Int.max, Int.max, Int.max)
    }
  }
}
