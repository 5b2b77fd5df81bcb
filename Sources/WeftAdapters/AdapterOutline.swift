// SPDX-License-Identifier: Apache-2.0

package import WeftFormats
package import WeftTensors

/// What the files of an adapter say without a base: its family and its tensors. Nothing is checked against a model.
package struct AdapterOutline: Sendable {
  package let family: AdapterFamily
  /// The folder or file that was found.
  package let path: String
  /// `adapter_config.json`; nil where the form has none.
  package let config: JSON?
  /// In the order of their names, mapped from the file or decoded from the pack.
  package let tensors: [(name: String, tensor: Tensor)]

  /// The parameters are those of `AdapterReader.read`.
  package init(path: String, name: String = "default", policy: PackPolicy = PackPolicy()) throws(AdapterError) {
    let files = try AdapterFolder(path: path, name: name, policy: policy)
    family = try AdapterReader.family(of: files)
    self.path = files.path
    config = files.configuration
    tensors = try files.allTensors()
  }

  /// The Frobenius norms of the tensors of each layer, together; of what belongs to no layer under nil. Tensors of numbers that
  /// count or point are left out.
  package var layerNorms: [(layer: Int?, norm: Double)] {
    var squares: [Int: Double] = [:]
    for (name, tensor) in tensors where [.f32, .f16, .bf16, .ternary].contains(tensor.dtype) {
      let square = tensor.floats().reduce(0.0) { $0 + Double($1) * Double($1) }
      squares[AdapterOutline.layer(name) ?? -1, default: 0] += square
    }
    return squares.sorted { $0.key < $1.key }.map { (layer: $0.key < 0 ? nil : $0.key, norm: $0.value.squareRoot()) }
  }

  /// The first number in a path of names: the layer, in every architecture that Weft runs.
  private static func layer(_ name: String) -> Int? {
    name.split(separator: ".").lazy.compactMap { Int($0) }.first
  }
}
