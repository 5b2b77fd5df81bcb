// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Norms, as the base has them and as the adapters of a row change them.
extension Step {
  /// y = norm(x) of a row at a place (`ResidentNorms.index`): with the base's norm, or that of an adapter, and what adapters add
  /// to its weights. y may be x.
  @inline(__always)
  func normalize(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ own: DecoderLayer.Norm, _ place: Int, _ row: Int, count: Int
  ) {
    guard batch.layout.normCount > 0 else { return apply(own, y, x, count: count) }
    var norm = own
    for entry in batch.layout.entries(of: row) {
      guard let norms = entry.norms else { continue }
      if let replaced = norms.norm(place, own: own) { norm = replaced }
      // A norm is linear in its weights. What is added is computed first: y may be x.
      if let sum = norms.sum(place) { apply(sum, norms.scratch + worker.index * norms.scratchStride, x, count: count) }
    }
    apply(norm, y, x, count: count)
    for entry in batch.layout.entries(of: row) {
      guard let norms = entry.norms, norms.sum(place) != nil else { continue }
      let (added, weight) = (norms.scratch + worker.index * norms.scratchStride, entry.weight(normPlace: place))
      for i in 0..<count { y[i] += weight * added[i] }
    }
  }

  /// y = norm(x); y may be x.
  @inline(__always)
  private func apply(_ norm: DecoderLayer.Norm, _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int) {
    switch config.norm {
    case .rootMeanSquare: kernels.rmsNorm(y, x, weight: norm.weight, count: count, epsilon: config.normEpsilon)
    case .layer:
      kernels.layerNorm(y, x, weight: norm.weight, bias: norm.bias, count: count, epsilon: config.normEpsilon)
    }
  }
}

extension ActiveMixture.Entry {
  /// The weight of what it adds to a norm.
  fileprivate func weight(normPlace place: Int) -> Float {
    place == ResidentNorms.output ? weight : weight(layer: (place - 1) / ResidentNorms.perLayer)
  }
}
