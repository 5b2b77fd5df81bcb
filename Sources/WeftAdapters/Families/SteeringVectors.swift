// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Vectors that are added to the residual stream behind layers: control vectors in GGUF, and the same in safetensors
/// (docs/adapter-layouts.md). Load options are a strength, which multiplies all, and a range of layers.
///
/// Representation engineering: https://arxiv.org/abs/2310.01405.
enum SteeringVectors {
  /// `layers.0`, `layers.1` ...: [hidden] each.
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try resolve(&files, prefix: "layers.", first: 0, base.shape, options)
  }

  /// llama.cpp's control vectors: `direction.N` [hidden] in F32 acts behind layer N, counted from 0; there is none for layer 0.
  static func resolveControl(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try resolve(&files, prefix: "direction.", first: 1, base.shape, options)
  }

  private static func resolve(
    _ files: inout AdapterFolder, prefix: String, first: Int, _ base: BaseShape, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let strength = options.strength ?? 1
    guard strength.isFinite else {
      throw .malformedOption(location: files.path, option: "strength", expected: "a finite number", found: "\(strength)")
    }
    var deltas = DeltaSet()
    for name in files.tensorNames {
      guard let layer = AdapterMark.layer(name, prefix: prefix), layer >= first else {
        throw .unknownTensor(
          location: files.tensorsLocation, tensor: name, expected: "\(prefix)\(first), \(prefix)\(first + 1) ...")
      }
      guard layer < base.layerCount else {
        throw .layerOutOfRange(location: files.tensorsLocation, tensor: name, layerCount: base.layerCount)
      }
      // Vectors outside the range are checked like the others.
      let vector = try files.takeFloats(name, shape: [base.embedding.hiddenSize])
      if let layers = options.layers, !layers.contains(layer) { continue }
      deltas.hidden[.layerOutput(layer)] = [.steering(vector.map { strength * $0 })]
    }
    if let layers = options.layers, deltas.hidden.isEmpty {
      throw .malformedOption(
        location: files.path, option: "layers", expected: "layers that have a vector",
        found: "\(layers.lowerBound)-\(layers.upperBound)")
    }
    return deltas
  }
}
