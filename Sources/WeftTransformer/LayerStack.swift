// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// The layers that a model runs, as layers of its file: all of them in order, or some of them, some several times
/// (PEFT's `layer_replication`; Kim et al. 2023, https://arxiv.org/abs/2312.15166).
struct LayerStack {
  /// The layer of the file that each layer is.
  let sources: [Int]
  /// The configuration with these layers.
  let config: ModelConfig

  /// - Parameter layers: nil for the file's own.
  init(_ layers: [Int]?, of file: ModelConfig, location: String) throws(ModelError) {
    sources = layers ?? Array(0..<file.layerCount)
    guard !sources.isEmpty, sources.count <= 1 << 16, sources.allSatisfy({ $0 >= 0 && $0 < file.layerCount }) else {
      throw .invalidConfig(
        location: location, field: "layers", expected: "some of the layers 0 to \(file.layerCount - 1)",
        found: sources.first { $0 < 0 || $0 >= file.layerCount }.map { "\($0)" } ?? "\(sources.count) layers")
    }
    var config = file
    config.layers = sources.map { file.layers[$0] }
    self.config = config
  }

  /// The places where the model has a matrix of the file.
  func copies(of site: WeightSite) -> [WeightSite] {
    guard let layer = site.layer else { return [site] }
    return sources.indices.filter { sources[$0] == layer }.map { site.inLayer($0) }
  }
}

extension WeightSite {
  /// The same map of another layer.
  fileprivate func inLayer(_ layer: Int) -> WeightSite {
    switch self {
    case .layer(_, let projection): .layer(layer, projection)
    case .expert(_, let expert, let projection): .expert(layer, expert, projection)
    case .outputHead: .outputHead
    }
  }
}
