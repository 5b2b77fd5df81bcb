// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// How far a compressed adapter is from the one it was made of.
package struct CompressionReport: Sendable {
  /// The modules of one layer.
  package struct Layer: Sendable {
    /// nil outside of layers.
    package let layer: Int?
    /// By the last part of the path: `q_proj`, and |B A - compressed| / |B A|.
    package let modules: [(name: String, relativeError: Double)]
  }

  package let layers: [Layer]
  /// Of all modules together.
  package let relativeError: Double
  /// Bytes of the factors in F16.
  package let halfByteCount: Int
  /// The entropy in bytes of the ternary factors, as signs that are independent of each other (and 16 bits for each number); nil
  /// where some are not ternary.
  package let entropyByteCount: Double?

  package init(_ modules: [ModuleFactors], _ compressed: [CompressedModule]) {
    let results = Dictionary(compressed.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
    var layers: [(layer: Int?, modules: [(name: String, relativeError: Double)])] = []
    var (energy, error, entropy) = (0.0, 0.0, 0.0)
    var isTernary = true
    for module in modules {
      let own = module.energy
      let distance = results[module.path].map { module.squaredDistance(to: $0.factors) } ?? own
      energy += own
      error += distance
      let layer = module.path.split(separator: ".").lazy.compactMap { Int($0) }.first
      if layers.isEmpty || layers[layers.count - 1].layer != layer { layers.append((layer, [])) }
      let name = String(module.path.split(separator: ".").last ?? "")
      layers[layers.count - 1].modules.append((name, own > 0 ? (distance / own).squareRoot() : 0))
      for tensor in results[module.path].map({ [$0.a, $0.b] }) ?? [] {
        guard tensor.dtype == .ternary else {
          isTernary = false
          continue
        }
        let nonzero = tensor.floats().reduce(0) { $0 + ($1 == 0 ? 0 : 1) }
        entropy += (TernaryMatrix.entropy(count: tensor.elementCount, nonzero: nonzero) + 16) / 8
      }
    }
    self.layers = layers.map { Layer(layer: $0.layer, modules: $0.modules) }
    relativeError = energy > 0 ? (error / energy).squareRoot() : 0
    halfByteCount = modules.reduce(0) { $0 + 2 * $1.elementCount }
    entropyByteCount = isTernary && !compressed.isEmpty ? entropy : nil
  }
}
