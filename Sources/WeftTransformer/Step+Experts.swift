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
    overExperts(
      experts.feedForward, shared: layer.feedForward, to: (memory.feedForward, workspace.feedForward),
      from: (memory.input, workspace.normed))
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
        activate(shared, piece, group, down, workspace.feedForward, layout: batch.layout)
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
            layout: layout)
          return
        }
        piece -= pieces.count
      }
    }
  }

  /// down of all experts that were chosen, and of the shared one.
  func multiplyExpertsDown(_ layer: DecoderLayer, _ experts: DecoderLayer.Experts) {
    guard let memory = workspace.experts else { return }
    overExperts(
      experts.down, shared: layer.down, to: (memory.output, workspace.projected),
      from: (memory.feedForward, workspace.feedForward))
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
        let slot = Int(memory.slots[choice])
        kernels.scale(memory.output.row(slot), by: memory.weights[choice], count: count)
        kernels.add(projected, memory.output.row(slot), count: count)
      }
    }
  }

  /// A product of some rows: of the shared expert, or of the rows that chose one.
  private struct ExpertProduct {
    let group: LinearGroup
    let y: Activations
    let x: Activations
    let layout: RowLayout
    let low: Activations
  }

  /// One phase over the products of all active experts, the shared one first.
  /// - Parameters:
  ///   - y: rows of the experts, beside each other, and of the shared one.
  ///   - x: likewise.
  private func overExperts(
    _ groups: UnsafePointer<LinearGroup>, shared: LinearGroup?, to y: (own: Activations, shared: Activations),
    from x: (own: Activations, shared: Activations)
  ) {
    guard let memory = workspace.experts else { return }
    let sharedCount = shared == nil ? 0 : 1
    let productCount = memory.activeCount + sharedCount
    func product(_ index: Int) -> ExpertProduct {
      if index < sharedCount, let shared {
        return ExpertProduct(group: shared, y: y.shared, x: x.shared, layout: batch.layout, low: workspace.low)
      }
      let expert = Int(memory.active[index - sharedCount])
      let first = Int(memory.firstSlots[expert])
      return ExpertProduct(
        group: groups[expert], y: y.own.from(row: first), x: x.own.from(row: first), layout: memory.layouts[expert],
        low: memory.low.from(row: first))
    }
    var (entryCount, pieceCount) = (0, 0)
    for index in 0..<productCount {
      let product = product(index)
      entryCount += product.layout.entryCount
      pieceCount += product.group.pieces(product.layout, threads: worker.threadCount).count
    }
    worker.prelude(entryCount) { claimed in
      var entry = claimed
      for index in 0..<productCount {
        let product = product(index)
        if entry < product.layout.entryCount {
          product.group.multiplyLow(entry: entry, layout: product.layout, low: product.low, product.x, kernels)
          return
        }
        entry -= product.layout.entryCount
      }
    }
    worker.slices(pieceCount, grain: 1) { claimed in
      var piece = claimed.lowerBound
      for index in 0..<productCount {
        let product = product(index)
        let pieces = product.group.pieces(product.layout, threads: worker.threadCount)
        if piece < pieces.count {
          product.group.multiply(
            piece: piece, grain: pieces.grain, product.y, product.x, layout: product.layout, low: product.low, kernels, worker,
            preludes: entryCount)
          return
        }
        piece -= pieces.count
      }
    }
  }
}
