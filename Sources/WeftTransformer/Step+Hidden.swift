// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
internal import WeftTensors

/// What adapters do to hidden states: row by row, in the phases that add to the residual stream.
extension Step {
  /// answer += what the adapters of a row have at a place where a sublayer's answer is about to be added to the stream. All of
  /// one level read the same answer: that of the sublayer, with what the levels below have added.
  @inline(__always)
  func changeAnswer(_ answer: UnsafeMutablePointer<Float>, _ row: Int, _ layer: Int, _ place: ResidentHidden.Place) {
    guard batch.layout.hiddenCount > 0 else { return }
    changeAnswerOfRow(answer, row, layer, place)
  }

  private func changeAnswerOfRow(
    _ answer: UnsafeMutablePointer<Float>, _ row: Int, _ layer: Int, _ place: ResidentHidden.Place
  ) {
    let (count, stream) = (config.hiddenSize, workspace.hidden.row(row))
    var sum: UnsafeMutablePointer<Float>?
    var level = 0
    for entry in batch.layout.entries(of: row) {
      guard let table = entry.hidden else { continue }
      let operations = table.operations(ResidentHidden.index(layer, place))
      guard !operations.isEmpty else { continue }
      if entry.level != level {
        if let sum { kernels.add(answer, sum, count: count) }
        (sum, level) = (nil, entry.level)
      }
      let weight = entry.weight(layer: layer)
      let scratch = table.scratch + worker.index * table.scratchStride
      for case .bottleneck(let module) in operations {
        module._withUnsafeGuaranteedRef { module in
          // The first adapter's memory holds the sum until the row is done.
          let total = sum ?? scratch
          if sum == nil { total.update(repeating: 0, count: count) }
          sum = total
          var read = UnsafePointer(answer)
          switch module.input {
          case .answer: break
          case .stream: read = UnsafePointer(stream)
          case .sum:
            let both = scratch + count
            for i in 0..<count { both[i] = stream[i] + answer[i] }
            read = UnsafePointer(both)
          }
          module.run(read, weight: weight, addingTo: total, scratch: scratch + 2 * count, kernels)
        }
      }
    }
    if let sum { kernels.add(answer, sum, count: count) }
    addVectors(answer, row, layer, place)
  }

  /// The vectors that the adapters of a row add behind a layer.
  @inline(__always)
  func steer(_ hidden: UnsafeMutablePointer<Float>, _ row: Int, _ layer: Int) {
    guard batch.layout.hiddenCount > 0 else { return }
    addVectors(hidden, row, layer, .layerOutput)
  }

  private func addVectors(_ hidden: UnsafeMutablePointer<Float>, _ row: Int, _ layer: Int, _ place: ResidentHidden.Place) {
    for entry in batch.layout.entries(of: row) {
      guard let table = entry.hidden else { continue }
      let weight = entry.weight(layer: layer)
      for case .steering(let vector) in table.operations(ResidentHidden.index(layer, place)) {
        for i in 0..<config.hiddenSize { hidden[i] += weight * vector[i] }
      }
    }
  }
}

extension Bottleneck.Activation {
  /// x = act(x)
  func apply(_ x: UnsafeMutablePointer<Float>, count: Int, _ kernels: Kernels) {
    switch self {
    case .relu: for i in 0..<count { x[i] = max(x[i], 0) }
    case .leakyReLU: for i in 0..<count where x[i] < 0 { x[i] *= 0.01 }
    case .gelu: for i in 0..<count { x[i] = 0.5 * x[i] * (1 + erff(x[i] * Float(0.5).squareRoot())) }
    case .geluTanh: kernels.gelu(x, count: count)
    case .silu: for i in 0..<count { x[i] = x[i] / (1 + expf(-x[i])) }
    case .tanh: for i in 0..<count { x[i] = tanhf(x[i]) }
    case .identity: break
    }
  }
}
