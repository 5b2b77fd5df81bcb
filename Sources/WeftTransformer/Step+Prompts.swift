// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension Step {
  /// hidden = the row of the prompt of the row's mixture that a negative token stands for (`Batch.promptToken`).
  func embedPrompt(_ hidden: UnsafeMutablePointer<Float>, _ row: Int) {
    let index = Int(-1 - batch.tokens[row])
    for entry in batch.layout.entries(of: row) {
      guard case .embeddings(let rows, let count)? = entry.adapter._withUnsafeGuaranteedRef({ $0.prompt }), index < count else {
        continue
      }
      hidden.update(from: rows + index * config.hiddenSize, count: config.hiddenSize)
      if config.promptScale != 1 { kernels.scale(hidden, by: config.promptScale, count: config.hiddenSize) }
      return
    }
    preconditionFailure("tokens are those of the vocabulary, or of the mixture's prompt")
  }

  /// y += weight * gate * softmax(q K' / sqrt(d)) V for the query heads of one key-value head, of some rows of a segment, and
  /// every gated prompt of a layer that acts at this side of the output projection.
  @inline(__always)
  func addGatedPrompts(
    _ layerIndex: Int, _ layer: DecoderLayer, head: Int, rows: Range<Int>, of segment: Segment, isProjected: Bool,
    to y: Activations
  ) {
    let d = config.headDimension
    let group = layer.config.headCount / layer.config.keyValueHeadCount
    for entry in segment.entries {
      guard let prompts = entry.gatedPrompts, let prompt = prompts.layer(layerIndex), prompt.isProjected == isProjected else {
        continue
      }
      let weight = entry.weight(layer: layerIndex) * prompt.gate
      guard weight != 0 else { continue }
      let keys = prompt.keys + head * prompt.headBytes
      let scratch = prompts.scratch + worker.index * prompts.scratchStride
      // One row at a time: the kernel's rows see different positions, and these all see the whole prompt.
      for row in rows {
        for query in head * group..<(head + 1) * group {
          kernels.attend(
            AttentionTask(
              out: scratch, outStride: d, query: workspace.attentionIn.row(row) + query * d,
              queryStride: workspace.attentionIn.stride, rows: 1, group: 1, headDimension: d,
              firstPosition: prompt.count - 1, blockTable: prompts.blockTable, keys: keys, values: keys + prompt.keyBytes,
              blockStride: prompt.blockStride, scale: 1 / Float(d).squareRoot()), .f32)
          kernels.scale(scratch, by: weight, count: d)
          kernels.add(y.row(row) + query * d, scratch, count: d)
        }
      }
    }
  }

  /// The gated prompts of a layer that act behind the output projection, for some rows.
  @inline(__always)
  func addGatedPromptsBehindProjection(_ layerIndex: Int, _ layer: DecoderLayer, rows: Range<Int>) {
    guard batch.layout.gatedPromptCount > 0 else { return }
    batch.layout.forEachSegment(in: rows) { segment, rows in
      for head in 0..<layer.config.keyValueHeadCount {
        addGatedPrompts(
          layerIndex, layer, head: head, rows: rows, of: segment, isProjected: false, to: workspace.projected)
      }
    }
  }
}
