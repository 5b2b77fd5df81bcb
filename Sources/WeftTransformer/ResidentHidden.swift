// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// What a resident adapter does to hidden states, by layer and place; see `HiddenDelta`. It owns the memory that `Table`
/// points into.
final class ResidentHidden: @unchecked Sendable {
  /// One change, as pointers: trivial to copy.
  enum Operation {
    /// h += vector
    case steering(UnsafePointer<Float>)
    case bottleneck(Unmanaged<ResidentBottleneck>)
  }

  /// What a step reaches: the operations of every place, and memory for vectors of each thread.
  struct Table {
    let lists: UnsafePointer<UnsafeBufferPointer<Operation>>
    let count: Int
    let scratch: UnsafeMutablePointer<Float>
    let scratchStride: Int

    /// The operations at a place (`index`).
    @inline(__always)
    func operations(_ index: Int) -> UnsafeBufferPointer<Operation> {
      index < count ? lists[index] : UnsafeBufferPointer(start: nil, count: 0)
    }
  }

  /// Where an operation stands in a layer.
  enum Place: Int, CaseIterable { case attentionOutput, feedForwardOutput, layerOutput }

  /// The number of a place in tables.
  @inline(__always)
  static func index(_ layer: Int, _ place: Place) -> Int { layer * Place.allCases.count + place.rawValue }

  private let modules: [ResidentBottleneck]
  private let lists: UnsafeMutableBufferPointer<UnsafeBufferPointer<Operation>>
  let table: Table

  /// - Parameter threads: how many threads steps have.
  init(
    _ hidden: [HiddenSite: [HiddenDelta]], threads: Int, _ memory: ResidentMemory
  ) throws(ResidentError) {
    var operations: [Int: [Operation]] = [:]
    var modules: [ResidentBottleneck] = []
    var scratch = 0
    do throws(StorageError) {
      for (site, deltas) in hidden {
        for delta in deltas {
          let operation: Operation
          switch delta {
          case .steering(let vector): operation = .steering(try memory.keep(vector))
          case .bottleneck(let module):
            let resident = try ResidentBottleneck(module, memory)
            modules.append(resident)
            scratch = max(scratch, resident.scratchCount)
            operation = .bottleneck(.passUnretained(resident))
          }
          operations[ResidentHidden.index(site), default: []].append(operation)
        }
      }
      let stride = MatrixView.padded(max(scratch, 1))
      let room = try memory.reserve(floats: stride * threads)
      let count = (operations.keys.max() ?? -1) + 1
      lists = .allocate(capacity: count)
      for index in 0..<count {
        let list = operations[index] ?? []
        let own = UnsafeMutableBufferPointer<Operation>.allocate(capacity: list.count)
        _ = own.initialize(from: list)
        lists.initializeElement(at: index, to: UnsafeBufferPointer(own))
      }
      table = Table(lists: UnsafePointer(lists.baseAddress!), count: count, scratch: room, scratchStride: stride)
    } catch { throw .storage(error) }
    self.modules = modules
  }

  deinit {
    for list in lists { list.deallocate() }
    lists.deinitialize()
    lists.deallocate()
  }

  private static func index(_ site: HiddenSite) -> Int {
    switch site {
    case .attentionOutput(let layer): index(layer, .attentionOutput)
    case .feedForwardOutput(let layer): index(layer, .feedForwardOutput)
    case .layerOutput(let layer): index(layer, .layerOutput)
    }
  }
}

/// A bottleneck module with its matrices ready for the kernels; see `Bottleneck`.
final class ResidentBottleneck: Sendable {
  let input: Bottleneck.Input
  let activation: Bottleneck.Activation
  let size: Int
  let hiddenSize: Int
  private let down: StructuredMatrix
  private let up: StructuredMatrix
  nonisolated(unsafe) private let downBias: UnsafePointer<Float>
  nonisolated(unsafe) private let upBias: UnsafePointer<Float>
  /// Weight and bias.
  nonisolated(unsafe) private let normBefore: (UnsafePointer<Float>, UnsafePointer<Float>)?
  nonisolated(unsafe) private let normAfter: (UnsafePointer<Float>, UnsafePointer<Float>)?

  /// As torch's LayerNorm has it.
  private static let epsilon: Float = 1e-5

  init(_ module: Bottleneck, _ memory: ResidentMemory) throws(StorageError) {
    func keep(_ norm: Bottleneck.Norm?) throws(StorageError) -> (UnsafePointer<Float>, UnsafePointer<Float>)? {
      guard let norm else { return nil }
      return (try memory.keep(norm.weight), try memory.keep(norm.bias))
    }
    input = module.input
    activation = module.activation
    size = module.size
    hiddenSize = module.up.rows
    down = try memory.dense(module.down)
    up = try memory.dense(module.up)
    downBias = try memory.keep(module.downBias)
    upBias = try memory.keep(module.upBias)
    normBefore = try keep(module.normBefore)
    normAfter = try keep(module.normAfter)
  }

  /// Floats that `run` needs, with room for the sums of a row (`Step.changeAnswer`).
  var scratchCount: Int { 4 * hiddenSize + size + max(down.scratchCount, up.scratchCount) }

  /// sum += weight * module(x). `x` and `sum` have `hiddenSize` elements; `scratch` has what is left of `scratchCount` when two
  /// vectors are taken away.
  func run(
    _ x: UnsafePointer<Float>, weight: Float, addingTo sum: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, _ kernels: Kernels
  ) {
    let (vector, middle) = (scratch, scratch + 2 * hiddenSize)
    let rest = middle + size
    var read = x
    if let (weight, bias) = normBefore {
      kernels.layerNorm(vector, x, weight: weight, bias: bias, count: hiddenSize, epsilon: ResidentBottleneck.epsilon)
      read = UnsafePointer(vector)
    }
    middle.update(from: downBias, count: size)
    down.apply(read, addingTo: middle, weight: 1, rows: 0..<size, scratch: rest)
    activation.apply(middle, count: size, kernels)
    let answer = scratch + hiddenSize
    answer.update(from: upBias, count: hiddenSize)
    up.apply(middle, addingTo: answer, weight: 1, rows: 0..<hiddenSize, scratch: rest)
    if let (weight, bias) = normAfter {
      kernels.layerNorm(answer, answer, weight: weight, bias: bias, count: hiddenSize, epsilon: ResidentBottleneck.epsilon)
    }
    for i in 0..<hiddenSize { sum[i] += weight * answer[i] }
  }
}

extension ResidentMemory {
  /// A matrix of floats in its own format.
  fileprivate func dense(_ tensor: Tensor) throws(StorageError) -> StructuredMatrix {
    do {
      let matrix = try StructuredMatrix.dense(tensor)
      _ = keep(matrix)
      return matrix
    } catch {
      guard case .storage(let error) = error else { preconditionFailure("a bottleneck has matrices of floats") }
      throw error
    }
  }
}
