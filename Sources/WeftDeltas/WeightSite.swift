// SPDX-License-Identifier: Apache-2.0

/// A weight matrix of the base that a delta may attach to: the one way to name a place in the model.
///
/// Sites are ordered as the model uses them: layer by layer, the output head last.
package enum WeightSite: Hashable, Sendable {
  case layer(Int, Projection)
  /// The final projection (`lm_head`), where it is a matrix of its own and not the embedding.
  case outputHead
}

extension WeightSite: CustomStringConvertible {
  /// `layers.3.q_proj` or `lm_head`.
  package var description: String {
    switch self {
    case .layer(let layer, let projection): "layers.\(layer).\(projection.name)"
    case .outputHead: "lm_head"
    }
  }
}

extension WeightSite: Comparable {
  package static func < (left: WeightSite, right: WeightSite) -> Bool { left.position < right.position }

  private var position: (Int, Int) {
    switch self {
    case .layer(let layer, let projection): (layer, projection.rawValue)
    case .outputHead: (Int.max, Int.max)
    }
  }
}
