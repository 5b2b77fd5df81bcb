// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

/// The feed-forward of a sparse layer: every row chooses some experts, rows are gathered by expert, each expert is one product.
extension Step {
  /// Scores, choices, and the rows of every expert beside each other.
  func chooseExperts(_ experts: DecoderLayer.Experts) {
    guard let memory = workspace.experts else { return }
    multiply(experts.router, memory.scores, workspace.normed, layout: batch.layout)
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      for part in 0..<2 {
        experts.router.finish(memory.scores, part: part, rows: rows, layout: batch.layout, low: workspace.low, kernels)
      }
      for row in rows { memory.choose(row: row) }
    }
    worker.barrier()
    worker.slices(1, grain: 1) { _ in memory.assign(batch.layout) }
    worker.barrier()
    worker.slices(Int(memory.firstSlots[config.experts?.count ?? 0]), grain: rowGrain) { slots in
      for slot in slots { memory.input.copy(row: slot, from: workspace.normed, row: Int(memory.rows[slot])) }
    }
    worker.barrier()
  }

  /// gate and up of all experts that were chosen, and of the shared one.
  func multiplyExperts(_ layer: DecoderLayer, _ experts: DecoderLayer.Experts) {
    guard let memory = workspace.experts else { return }
    overExperts(experts.feedForward, shared: layer.feedForward) { group, expert, piece, grain in
      guard let expert else {
        group.multiply(
          piece: piece, grain: grain, sharedMemory(layer), workspace.normed, layout: batch.layout, low: workspace.low, kernels)
        return
      }
      let first = Int(memory.firstSlots[expert])
      group.multiply(
        piece: piece, grain: grain, memory.feedForward.from(row: first), memory.input.from(row: first),
        layout: memory.layouts[expert], low: memory.low.from(row: first), kernels)
    }
    worker.barrier()
  }

  /// The non-linearity of all slots, and of the shared expert's rows.
  func activateExperts(_ layer: DecoderLayer, _ experts: DecoderLayer.Experts) {
    guard let memory = workspace.experts, let width = config.experts?.intermediateSize else { return }
    let shared = ActivationPieces(
      columns: layer.feedForward == nil ? 0 : layer.config.intermediateSize, rows: batch.rowCount, grain: rowGrain)
    var total = shared.count
    for index in 0..<memory.activeCount {
      let rows = memory.layouts[Int(memory.active[index])].rowCount
      total += ActivationPieces(columns: width, rows: rows, grain: rowGrain).count
    }
    worker.slices(total, grain: 1) { claimed in
      var piece = claimed.lowerBound
      if piece < shared.count, let group = layer.feedForward, let down = layer.down {
        activate(shared, piece, group, down, sharedMemory(layer), layout: batch.layout, low: workspace.low)
        return
      }
      piece -= shared.count
      for index in 0..<memory.activeCount {
        let expert = Int(memory.active[index])
        let layout = memory.layouts[expert]
        let pieces = ActivationPieces(columns: width, rows: layout.rowCount, grain: rowGrain)
        if piece < pieces.count {
          let first = Int(memory.firstSlots[expert])
          activate(
            pieces, piece, experts.feedForward[expert], experts.down[expert], memory.feedForward.from(row: first),
            layout: layout, low: memory.low.from(row: first))
          return
        }
        piece -= pieces.count
      }
    }
  }

  /// down of all experts that were chosen, and of the shared one.
  func multiplyExpertsDown(_ layer: DecoderLayer, _ experts: DecoderLayer.Experts) {
    guard let memory = workspace.experts else { return }
    overExperts(experts.down, shared: layer.down) { group, expert, piece, grain in
      guard let expert else {
        group.multiply(
          piece: piece, grain: grain, workspace.projected, sharedMemory(layer), layout: batch.layout, low: workspace.low,
          kernels)
        return
      }
      let first = Int(memory.firstSlots[expert])
      group.multiply(
        piece: piece, grain: grain, memory.output.from(row: first), memory.feedForward.from(row: first),
        layout: memory.layouts[expert], low: memory.low.from(row: first), kernels)
    }
  }

  /// projected = sum of weight * answer over a row's experts in ascending order, plus sigmoid(score) * the shared expert's.
  func collectExperts(_ rows: Range<Int>, _ layer: DecoderLayer, _ experts: DecoderLayer.Experts) {
    guard let memory = workspace.experts, let used = config.experts?.usedCount else { return }
    let count = config.hiddenSize
    for row in rows {
      let projected = workspace.projected.row(row)
      if layer.down == nil {
        projected.update(repeating: 0, count: count)
      } else {
        let score = memory.scores.row(row)[experts.router.offset(1)]
        kernels.scale(projected, by: 1 / (1 + exp(-score)), count: count)
      }
      for choice in row * used..<(row + 1) * used {
        let (expert, slot) = (Int(memory.chosen[choice]), Int(memory.slots[choice]))
        let first = Int(memory.firstSlots[expert])
        experts.down[expert].finish(
          memory.output.from(row: first), part: 0, rows: slot - first..<slot - first + 1, layout: memory.layouts[expert],
          low: memory.low.from(row: first), kernels)
        kernels.scale(memory.output.row(slot), by: memory.weights[choice], count: count)
        kernels.add(projected, memory.output.row(slot), count: count)
      }
    }
  }

  /// gate and up of the shared expert; its rows may be narrower than those of dense layers.
  @inline(__always)
  func sharedMemory(_ layer: DecoderLayer) -> Activations {
    workspace.feedForward.narrowed(to: layer.config.intermediateSize)
  }

  /// One phase over the pieces of the products of all active experts, the shared one first.
  private func overExperts(
    _ groups: UnsafePointer<LinearGroup>, shared: LinearGroup?,
    _ body: (_ group: LinearGroup, _ expert: Int?, _ piece: Int, _ grain: Int) -> Void
  ) {
    guard let memory = workspace.experts else { return }
    let own = shared?.pieces(batch.layout, threads: worker.threadCount)
    var total = own?.count ?? 0
    for index in 0..<memory.activeCount {
      let expert = Int(memory.active[index])
      total += groups[expert].pieces(memory.layouts[expert], threads: worker.threadCount).count
    }
    worker.slices(total, grain: 1) { claimed in
      var piece = claimed.lowerBound
      if let shared, let own {
        if piece < own.count {
          body(shared, nil, piece, own.grain)
          return
        }
        piece -= own.count
      }
      for index in 0..<memory.activeCount {
        let expert = Int(memory.active[index])
        let pieces = groups[expert].pieces(memory.layouts[expert], threads: worker.threadCount)
        if piece < pieces.count {
          body(groups[expert], expert, piece, pieces.grain)
          return
        }
        piece -= pieces.count
      }
    }
  }
}
