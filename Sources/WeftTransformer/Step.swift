// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// One thread's view of a step: the phases of a decoder, each ending with a barrier.
///
/// Rows are tokens. Phases over rows do what needs a whole row (norm, rotation, residual); phases over tiles are the products.
struct Step {
  let batch: Batch
  let workspace: Workspace
  let config: ModelConfig
  let kernels: Kernels
  let cache: KVCache
  let worker: Worker

  /// Rows in a slice: few enough that all threads get work, enough that a slice reuses the factors it loads.
  @inline(__always)
  var rowGrain: Int { min(16, (batch.rowCount + worker.threadCount - 1) / worker.threadCount) }

  /// hidden = embedding of the token; cosines and sines of the position; input of the first layer.
  func embed(_ embedding: Tensor, _ rotary: RotaryEmbedding, norm: UnsafePointer<Float>, quantize: Bool) {
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      for row in rows {
        embedding.dequantizeRow(Int(batch.tokens[row]), into: workspace.hidden.row(row))
        rotary.fill(workspace.rotary.row(row), position: Int(batch.positions[row]))
        normalize(row, into: row, norm, quantize)
      }
    }
    worker.barrier()
  }

  /// hidden += W_o attention(...): the first half of a layer.
  func attention(_ layer: DecoderLayer, _ index: Int) {
    layer.attention.multiply(
      workspace.attentionIn, workspace.normed, layout: batch.layout, low: workspace.low, kernels, worker)
    worker.barrier()
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      for part in 0..<3 {
        layer.attention.finish(workspace.attentionIn, part: part, rows: rows, layout: batch.layout, low: workspace.low, kernels)
      }
      rotateAndStore(rows, layer: index)
    }
    worker.barrier()
    attend(layer: index, quantize: layer.output.wantsQuantizedInput)
    layer.output.multiply(
      workspace.projected, workspace.attentionOut, layout: batch.layout, low: workspace.low, kernels, worker)
    worker.barrier()
    addToHidden(layer.output, thenNorm: layer.feedForwardNorm, quantize: layer.feedForward.wantsQuantizedInput)
  }

  /// hidden += W_down(silu(W_gate n) * (W_up n)): the second half of a layer.
  func feedForward(_ layer: DecoderLayer, nextNorm: UnsafePointer<Float>?, quantize: Bool) {
    let memory = workspace.feedForward
    layer.feedForward.multiply(
      memory, workspace.normed, layout: batch.layout, low: workspace.low, kernels, worker)
    worker.barrier()
    // Slices of rows times columns, so that one row is enough work for several threads.
    let columns = config.intermediateSize
    let width = 512
    let across = (columns + width - 1) / width
    let grain = rowGrain
    let downwards = (batch.rowCount + grain - 1) / grain
    worker.slices(across * downwards, grain: 1) { claimed in
      let begin = claimed.lowerBound % across * width
      let end = min(begin + width, columns)
      let rows = claimed.lowerBound / across * grain..<min((claimed.lowerBound / across + 1) * grain, batch.rowCount)
      let tiles = begin / MatrixView.tileRows..<(end + MatrixView.tileRows - 1) / MatrixView.tileRows
      layer.feedForward.finish(memory, part: 0, tiles: tiles, rows: rows, layout: batch.layout, low: workspace.low, kernels)
      layer.feedForward.finish(memory, part: 1, tiles: tiles, rows: rows, layout: batch.layout, low: workspace.low, kernels)
      for row in rows {
        kernels.swiglu(memory.row(row) + begin, up: memory.row(row) + workspace.upOffset + begin, count: end - begin)
        if layer.down.wantsQuantizedInput { memory.quantize(row: row, begin: begin, end: end, kernels) }
      }
    }
    worker.barrier()
    layer.down.multiply(
      workspace.projected, memory, layout: batch.layout, low: workspace.low, kernels, worker)
    worker.barrier()
    addToHidden(layer.down, thenNorm: nextNorm, quantize: quantize)
  }

  /// Logits of the rows that asked for them.
  func logits(_ head: LinearGroup, norm: UnsafePointer<Float>) {
    let count = batch.logitRowCount
    worker.slices(count, grain: 1) { claimed in
      for index in claimed { normalize(Int(batch.logitRows[index]), into: index, norm, head.wantsQuantizedInput) }
    }
    worker.barrier()
    let layout = batch.logitLayout
    head.multiply(workspace.logits, workspace.normed, layout: layout, low: workspace.low, kernels, worker)
    worker.barrier()
    guard head.needsFinish(layout) else { return }
    worker.slices(head.parts.0.weight.tileCount, grain: 64) { tiles in
      head.finish(workspace.logits, part: 0, tiles: tiles, rows: 0..<count, layout: layout, low: workspace.low, kernels)
    }
    worker.barrier()
  }

  private func addToHidden(_ group: LinearGroup, thenNorm norm: UnsafePointer<Float>?, quantize: Bool) {
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      group.finish(workspace.projected, part: 0, rows: rows, layout: batch.layout, low: workspace.low, kernels)
      for row in rows {
        kernels.add(workspace.hidden.row(row), workspace.projected.row(row), count: config.hiddenSize)
        if let norm { normalize(row, into: row, norm, quantize) }
      }
    }
    worker.barrier()
  }

  @inline(__always)
  private func normalize(_ row: Int, into target: Int, _ norm: UnsafePointer<Float>, _ quantize: Bool) {
    kernels.rmsNorm(
      workspace.normed.row(target), workspace.hidden.row(row), weight: norm, count: config.hiddenSize,
      epsilon: config.rmsNormEpsilon)
    if quantize { workspace.normed.quantize(row: target, begin: 0, end: config.hiddenSize, kernels) }
  }
}
