// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
internal import WeftTensors

/// A `GateClassifier` packed for the kernels: from the base's last hidden state of a token to gates [layers, experts].
/// Used by one thread at a time.
struct ResidentClassifier {
  private let layers: [(weight: MatrixView, bias: UnsafePointer<Float>?)]
  /// Inputs and outputs of the maps, in turns.
  private let vectors: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>)
  private let rule: GateClassifier
  /// Gates of one token: layers * experts.
  let count: Int

  init(_ classifier: GateClassifier, _ memory: ResidentMemory, _ pool: ThreadPool) throws(StorageError) {
    rule = classifier
    count = classifier.layerCount * classifier.expertCount
    var layers: [(weight: MatrixView, bias: UnsafePointer<Float>?)] = []
    for (weight, bias) in classifier.layers {
      let values = try bias.map { values throws(StorageError) in try memory.keep(values) }
      layers.append((try memory.pack(weight, pool), values))
    }
    self.layers = layers
    let width = layers.reduce(0) { max($0, $1.weight.columns, $1.weight.paddedRows) }
    vectors = (try memory.reserve(floats: width), try memory.reserve(floats: width))
  }

  /// Gates of a token from its hidden state after the final norm [hiddenSize].
  func classify(_ hidden: UnsafePointer<Float>, into gates: UnsafeMutablePointer<Float>, _ kernels: Kernels) {
    var (x, y) = vectors
    x.update(from: hidden, count: layers[0].weight.columns)
    for (index, layer) in layers.enumerated() {
      kernels.multiply(
        y, yStride: 0, layer.weight, x, xStride: 0, tiles: 0..<layer.weight.tileCount, rows: 1, accumulate: false)
      if let bias = layer.bias { kernels.add(y, bias, count: layer.weight.rows) }
      if index + 1 < layers.count { for i in 0..<layer.weight.rows { y[i] = max(y[i], 0) } }
      swap(&x, &y)
    }
    for layer in 0..<rule.layerCount {
      choose(x + layer * rule.expertCount, gates + layer * rule.expertCount)
    }
  }

  /// Softmax, top k, softmax over what was kept: each where the classifier has it.
  private func choose(_ scores: UnsafeMutablePointer<Float>, _ gates: UnsafeMutablePointer<Float>) {
    let count = rule.expertCount
    if let temperature = rule.temperature {
      for e in 0..<count { scores[e] /= temperature }
      softmax(scores) { _ in true }
    }
    if let kept = rule.topK, kept < count {
      for e in 0..<count {
        // Of equals the first is kept.
        var larger = 0
        for other in 0..<count where scores[other] > scores[e] || (scores[other] == scores[e] && other < e) { larger += 1 }
        gates[e] = larger < kept ? scores[e] : 0
      }
      // As the reference has it, a score of zero that was kept counts as not kept.
      if rule.normalizesKept { softmax(gates) { gates[$0] != 0 } }
    } else {
      gates.update(from: scores, count: count)
    }
    for e in 0..<count { gates[e] *= rule.scale }
  }

  /// Softmax over those that `isIn` says; 0 for the others.
  private func softmax(_ values: UnsafeMutablePointer<Float>, _ isIn: (Int) -> Bool) {
    let count = rule.expertCount
    var largest = -Float.infinity
    for e in 0..<count where isIn(e) { largest = max(largest, values[e]) }
    var sum: Float = 0
    for e in 0..<count where isIn(e) { sum += exp(values[e] - largest) }
    for e in 0..<count { values[e] = isIn(e) ? exp(values[e] - largest) / sum : 0 }
  }
}
