// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// What an adapter puts before the tokens of a sequence, as steps read it; see `PromptDelta`.
enum ResidentPrompt {
  /// [count][hidden]
  case embeddings(UnsafePointer<Float>, count: Int)
  /// [count][2 * layers][key-value heads][head dimension]
  case keysAndValues(UnsafePointer<Float>, count: Int, heads: Int)

  init(_ prompt: PromptDelta, _ memory: ResidentMemory) throws(StorageError) {
    switch prompt {
    case .embeddings(let rows): self = .embeddings(try memory.keep(rows.floats()), count: prompt.count)
    case .keysAndValues(let prefix):
      self = .keysAndValues(try memory.keep(prefix.floats()), count: prompt.count, heads: prefix.shape[2])
    }
  }
}

/// The gated prompts of an adapter, by layer, in memory as attention reads it: blocks of 16 positions of F32.
struct ResidentGatedPrompts {
  struct Layer: BitwiseCopyable {
    /// Keys of block 0 of the first head; the values of a head lie `keyBytes` behind its keys.
    let keys: UnsafeRawPointer
    let headBytes: Int
    let keyBytes: Int
    let blockStride: Int
    let count: Int
    let gate: Float
    let isProjected: Bool
  }

  private let layers: UnsafePointer<Layer?>
  private let layerCount: Int
  /// 0, 1, 2 ...
  let blockTable: UnsafePointer<Int32>
  /// What attention writes for one head, of each thread: `scratchStride` floats apart.
  let scratch: UnsafeMutablePointer<Float>
  let scratchStride: Int

  /// - Parameter threads: threads that steps will have.
  init(_ prompts: [Int: GatedPrompt], threads: Int, _ memory: ResidentMemory) throws(StorageError) {
    layerCount = (prompts.keys.max() ?? -1) + 1
    var layers = [Layer?](repeating: nil, count: layerCount)
    var (blocks, width) = (0, 0)
    for (layer, prompt) in prompts {
      layers[layer] = try ResidentGatedPrompts.layer(prompt, memory)
      blocks = max(blocks, ResidentGatedPrompts.blocks(prompt))
      width = max(width, prompt.headDimension)
    }
    self.layers = try memory.keep(table: layers)
    blockTable = try memory.keep((0..<Int32(blocks)).map { $0 })
    scratchStride = MatrixView.padded(width)
    scratch = try memory.reserve(floats: scratchStride * threads)
  }

  /// The gated prompt of a layer, or nil.
  @inline(__always)
  func layer(_ index: Int) -> Layer? { index < layerCount ? layers[index] : nil }

  private static func blocks(_ prompt: GatedPrompt) -> Int {
    (prompt.keys.rows + Kernels.kvBlockTokens - 1) / Kernels.kvBlockTokens
  }

  private static func layer(_ prompt: GatedPrompt, _ memory: ResidentMemory) throws(StorageError) -> Layer {
    let d = prompt.headDimension
    let (count, heads) = (prompt.keys.rows, prompt.keys.columns / d)
    let keyBytes = KVDType.f32.keyBytes(headDimension: d)
    let headBytes = keyBytes + KVDType.f32.valueBytes(headDimension: d)
    let stride = headBytes * heads
    let base = UnsafeMutableRawPointer(try memory.reserve(floats: blocks(prompt) * stride / 4))
    let (keys, values) = (prompt.keys.floats(), prompt.values.floats())
    // Every tier stores f32 alike.
    let kernels = Kernels(isa: .scalar)
    keys.withUnsafeBufferPointer { keys in
      values.withUnsafeBufferPointer { values in
        guard let keys = keys.baseAddress, let values = values.baseAddress else { return }
        for position in 0..<count {
          for head in 0..<heads {
            let own = base + position / Kernels.kvBlockTokens * stride + head * headBytes
            let index = (position * heads + head) * d
            kernels.storeKV(
              keys: own, values: own + keyBytes, keys + index, values + index, headDimension: d,
              slot: position % Kernels.kvBlockTokens, .f32)
          }
        }
      }
    }
    return Layer(
      keys: UnsafeRawPointer(base), headBytes: headBytes, keyBytes: keyBytes, blockStride: stride, count: count,
      gate: prompt.gate, isProjected: prompt.isProjected)
  }
}

extension ResidentMemory {
  /// A copy of a list of plain values.
  fileprivate func keep<Element: BitwiseCopyable>(table: [Element]) throws(StorageError) -> UnsafePointer<Element> {
    let memory = UnsafeMutableRawPointer(try reserve(floats: (table.count * MemoryLayout<Element>.stride + 3) / 4))
      .bindMemory(to: Element.self, capacity: table.count)
    for (index, element) in table.enumerated() { (memory + index).initialize(to: element) }
    return UnsafePointer(memory)
  }
}
