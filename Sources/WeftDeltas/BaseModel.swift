// SPDX-License-Identifier: Apache-2.0

/// The base that an adapter is read for: its shape, and its weights for families whose change depends on them.
///
/// Weights are those of the file, as f32 (dequantised where it is quantised), in transformers' order of rows.
package struct BaseModel: Sendable {
  /// Reads values of the base; each call copies them.
  package struct Values: Sendable {
    /// W [out * in] of a linear map.
    package let weight: @Sendable (WeightSite) -> [Float]
    /// [out]; nil when the map has no bias.
    package let bias: @Sendable (WeightSite) -> [Float]?
    /// Rows of the embedding [rows * hidden], for a range of tokens.
    package let embedding: @Sendable (Range<Int>) -> [Float]
    /// A norm as a step uses it, with what the architecture adds to it; nil when the model has no such norm.
    package let norm: @Sendable (NormSite) -> NormReplacement?
    /// Learned positions [positions * hidden]; empty when there are none.
    package let positions: @Sendable () -> [Float]

    package init(
      weight: @escaping @Sendable (WeightSite) -> [Float], bias: @escaping @Sendable (WeightSite) -> [Float]?,
      embedding: @escaping @Sendable (Range<Int>) -> [Float],
      norm: @escaping @Sendable (NormSite) -> NormReplacement? = { _ in nil },
      positions: @escaping @Sendable () -> [Float] = { [] }
    ) {
      self.weight = weight
      self.bias = bias
      self.embedding = embedding
      self.norm = norm
      self.positions = positions
    }
  }

  /// A model that cannot be read, in words.
  package struct OpenError: Error, Sendable {
    package let reason: String

    package init(reason: String) { self.reason = reason }
  }

  package let shape: BaseShape
  /// Names this base: its architecture, the sizes of its file, and a hash of the values of its final norm. nil when only the shape
  /// is known.
  package let fingerprint: String?
  /// nil when only the shape is known.
  package let values: Values?
  /// Reads another model, a folder or GGUF file, in the same way; nil when only the shape is known.
  package let open: (@Sendable (_ path: String) throws(OpenError) -> BaseModel)?

  package init(
    shape: BaseShape, values: Values? = nil, open: (@Sendable (_ path: String) throws(OpenError) -> BaseModel)? = nil,
    fingerprint: String? = nil
  ) {
    self.shape = shape
    self.fingerprint = fingerprint
    self.values = values
    self.open = open
  }

  /// Rows and columns of the weight of a module, all its parts together.
  package func size(of module: BaseModule) -> BaseShape.Size {
    let sizes = module.sites.compactMap { shape.shape(of: $0) }
    return (sizes.reduce(0) { $0 + $1.out }, sizes.first?.in ?? 0)
  }
}

extension BaseModel.Values {
  /// The weight of a module [out * in]: those of its parts under each other.
  package func weight(of module: BaseModule) -> [Float] {
    module.sites.count == 1 ? weight(module.sites[0]) : module.sites.flatMap(weight)
  }

  /// The bias of a module; nil when it has none.
  package func bias(of module: BaseModule) -> [Float]? {
    let parts = module.sites.map(bias)
    guard parts.allSatisfy({ $0 != nil }) else { return nil }
    return parts.flatMap { $0 ?? [] }
  }
}
