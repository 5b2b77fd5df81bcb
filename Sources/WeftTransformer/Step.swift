// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
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
  /// Gets the inputs of the linear maps; usually nil.
  let recorder: InputRecorder?

  static let maximumRowGrain = 16
  /// So few rows that weights arrive more slowly than they are multiplied.
  static let fewRows = 4

  /// Rows in a slice: few enough that all threads get work, enough that a slice reuses the factors it loads.
  @inline(__always)
  var rowGrain: Int { min(Step.maximumRowGrain, (batch.rowCount + worker.threadCount - 1) / worker.threadCount) }

  /// What a thread asks for while it waits for a phase whose work is that of few rows: its part of the product behind it.
  @inline(__always)
  func ahead(_ group: LinearGroup?) -> UnsafeRawBufferPointer {
    guard let group, worker.threadCount > 1, batch.rowCount <= Step.fewRows else {
      return UnsafeRawBufferPointer(start: nil, count: 0)
    }
    return group.share(of: worker)
  }

  /// hidden = embedding of the token (and of the position); cosines and sines of the position; input of the first layer.
  func embed(_ weights: ModelWeights, _ rotaries: [RotaryEmbedding], first layer: DecoderLayer) {
    let forms = layer.attention.inputForms(batch.layout)
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      for row in rows {
        let (hidden, position) = (workspace.hidden.row(row), Int(batch.positions[row]))
        if batch.tokens[row] < 0 {
          embedPrompt(hidden, row)
        } else {
          weights.embedding.dequantizeRow(Int(batch.tokens[row]), into: hidden)
          changeEmbedding(hidden, row)
          if config.embeddingScale != 1 { kernels.scale(hidden, by: config.embeddingScale, count: config.hiddenSize) }
        }
        if let positions = weights.positions {
          positions.dequantizeRow(position, into: workspace.projected.row(row))
          kernels.add(hidden, workspace.projected.row(row), count: config.hiddenSize)
          changePosition(hidden, row)
        }
        var table = workspace.rotary.row(row)
        for rotary in rotaries {
          rotary.fill(table, position: position)
          table += rotary.inverseFrequencies.count * 2
        }
        normalize(row, into: row, layer.attentionNorm, ResidentNorms.index(0, .attentionInput), forms)
      }
    }
    worker.barrier(ahead: ahead(layer.attention))
  }

  /// What the adapters of a row do to its embedding.
  @inline(__always)
  private func changeEmbedding(_ hidden: UnsafeMutablePointer<Float>, _ row: Int) {
    guard batch.layout.entryCount > 0 else { return }
    for entry in batch.layout.entries(of: row) {
      entry.adapter._withUnsafeGuaranteedRef { adapter in
        for operation in adapter.embedding {
          operation.apply(
            hidden, token: batch.tokens[row], weight: entry.embeddingWeight, hiddenSize: config.hiddenSize)
        }
      }
    }
  }

  /// What the adapters of a row do to its learned position.
  @inline(__always)
  private func changePosition(_ hidden: UnsafeMutablePointer<Float>, _ row: Int) {
    guard batch.layout.entryCount > 0 else { return }
    for entry in batch.layout.entries(of: row) {
      entry.adapter._withUnsafeGuaranteedRef { adapter in
        for operation in adapter.embedding {
          operation.applyPosition(hidden, position: Int(batch.positions[row]), weight: entry.embeddingWeight)
        }
      }
    }
  }

  /// y of a group for all rows: one phase, and one before and behind it where adapters do more than low rank.
  func multiply(_ group: LinearGroup, _ y: Activations, _ x: Activations, layout: RowLayout) {
    let changed = changedInputs(group, x, layout)
    worker.prelude(layout.entryCount) { entry in
      group.multiplyLow(entry: entry, layout: layout, low: workspace.low, x, kernels)
    }
    let (count, grain) = group.pieces(layout, threads: worker.threadCount)
    worker.slices(count, grain: 1) { claimed in
      group.multiply(
        piece: claimed.lowerBound, grain: grain, y, x, changed: changed, layout: layout, low: workspace.low, kernels, worker,
        preludes: layout.entryCount)
    }
    worker.barrier()
    guard group.isAdjusted(layout) else { return }
    overPartsAndRows(layout) { part, rows in
      group.adjust(
        y, part: part, x, changed: changed?[part] ?? x, rows: rows, layout: layout, low: workspace.low, kernels, worker)
    }
  }

  /// The inputs that adapters change, computed; nil where none does.
  private func changedInputs(_ group: LinearGroup, _ x: Activations, _ layout: RowLayout) -> ChangedInputs? {
    guard layout.operationCount > 0, let memory = workspace.changedInputs else { return nil }
    func input(_ part: Int) -> Activations? {
      group.changesInput(layout, part: part) ? memory[part] : nil
    }
    let changed = ChangedInputs(parts: (input(0), input(1), input(2)))
    guard changed[0] != nil || changed[1] != nil || changed[2] != nil else { return nil }
    overPartsAndRows(layout) { part, rows in
      guard let target = changed[part] else { return }
      group.changeInput(target, part: part, x, rows: rows, layout: layout, kernels, worker)
    }
    return changed
  }

  /// A phase of slices of one part of a group and some rows.
  private func overPartsAndRows(_ layout: RowLayout, _ body: (_ part: Int, _ rows: Range<Int>) -> Void) {
    let grain = rowGrain
    let pieces = (layout.rowCount + grain - 1) / grain
    worker.slices(pieces * 3, grain: 1) { claimed in
      let first = claimed.lowerBound / 3 * grain
      body(claimed.lowerBound % 3, first..<min(first + grain, layout.rowCount))
    }
    worker.barrier()
  }

  /// hidden += W_o attention(...): the first half of a layer.
  func attention(_ layer: DecoderLayer, _ index: Int) {
    recordAttentionInput(index)
    multiply(layer.attention, workspace.attentionIn, workspace.normed, layout: batch.layout)
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      rotateAndStore(rows, layer, index)
    }
    worker.barrier(ahead: ahead(layer.output))
    attend(layer, index)
    recordAttentionOutput(layer, index)
    multiply(layer.output, workspace.projected, workspace.attentionOut, layout: batch.layout)
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      addGatedPromptsBehindProjection(index, layer, rows: rows)
      for row in rows {
        addToHidden(
          row, index, .attentionOutput, layer.attentionOutputNorm, ResidentNorms.index(index, .attentionOutput),
          then: layer.feedForwardNorm,
          ResidentNorms.index(index, .feedForwardInput), forms: layer.feedForwardForms(batch.layout))
      }
    }
    worker.barrier(ahead: ahead(layer.feedForward))
  }

  /// hidden += W_down(act(W_gate n) * (W_up n)): the second half of a layer. Without `next`, the last one.
  func feedForward(_ layer: DecoderLayer, _ index: Int, next: DecoderLayer?) {
    recordFeedForwardInput(layer, index)
    if let experts = layer.experts {
      chooseExperts(experts)
      recordExperts(index, isDown: false)
      multiplyExperts(layer, experts)
      activateExperts(layer, experts)
      worker.barrier()
      recordExperts(index, isDown: true)
      if layer.down != nil { recordDownInput(layer, index, workspace.feedForward) }
      multiplyExpertsDown(layer, experts)
      worker.barrier()
    } else if let group = layer.feedForward, let down = layer.down {
      let memory = workspace.feedForward
      multiply(group, memory, workspace.normed, layout: batch.layout)
      let pieces = ActivationPieces(columns: layer.config.intermediateSize, rows: batch.rowCount, grain: rowGrain)
      worker.slices(pieces.count, grain: 1) { claimed in
        activate(pieces, claimed.lowerBound, group, down, memory, layout: batch.layout)
      }
      worker.barrier(ahead: ahead(down))
      recordDownInput(layer, index, memory)
      multiply(down, workspace.projected, memory, layout: batch.layout)
    }
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      if let experts = layer.experts { collectExperts(rows, layer, experts) }
      for row in rows {
        addToHidden(
          row, index, .feedForwardOutput, layer.feedForwardOutputNorm, ResidentNorms.index(index, .feedForwardOutput),
          then: next?.attentionNorm,
          ResidentNorms.index(index + 1, .attentionInput), isLast: next == nil,
          forms: next?.attention.inputForms(batch.layout) ?? [])
      }
    }
    worker.barrier(ahead: ahead(next?.attention))
  }

  /// Logits of the rows that asked for them.
  func logits(_ head: LinearGroup, norm: DecoderLayer.Norm) {
    let count = batch.logitRowCount
    worker.slices(count, grain: 1) { claimed in
      for index in claimed {
        normalize(Int(batch.logitRows[index]), into: index, norm, ResidentNorms.output, head.inputForms(batch.logitLayout))
      }
    }
    worker.barrier(ahead: ahead(head))
    let layout = batch.logitLayout
    multiply(head, workspace.logits, workspace.normed, layout: layout)
    guard config.logitScale != 1 || config.logitSoftcap > 0 else { return }
    worker.slices(head.parts.0.weight.tileCount, grain: 64) { tiles in
      let (begin, width) = (tiles.lowerBound * MatrixView.tileRows, tiles.count * MatrixView.tileRows)
      for row in 0..<count {
        let logits = workspace.logits.row(row) + begin
        if config.logitScale != 1 { kernels.scale(logits, by: config.logitScale, count: width) }
        if config.logitSoftcap > 0 { kernels.softcap(logits, cap: config.logitSoftcap, count: width) }
      }
    }
    worker.barrier()
  }

  // MARK: - Parts

  /// gate = act(gate) * up, or act(up), for one piece of the rows and columns; in the forms that `down` reads.
  @inline(__always)
  func activate(
    _ pieces: ActivationPieces, _ index: Int, _ group: LinearGroup, _ down: LinearGroup, _ memory: Activations,
    layout: RowLayout
  ) {
    let (rows, columns) = (pieces.rows(index), pieces.columns(index))
    let scales = down.scalesInputInPlace(layout)
    let forms = down.inputForms(layout)
    for row in rows {
      let gate = memory.row(row) + columns.lowerBound
      switch config.activation {
      case .swiglu: kernels.swiglu(gate, up: gate + group.offset(1), count: columns.count)
      case .geglu: kernels.geglu(gate, up: gate + group.offset(1), count: columns.count)
      case .gelu: kernels.gelu(gate, count: columns.count)
      }
      if scales { down.scaleInput(gate - columns.lowerBound, columns: columns, row: row, layout: layout, worker) }
      memory.write(forms, row: row, begin: columns.lowerBound, end: columns.upperBound, kernels)
    }
  }

  /// hidden += projected, normalised and scaled where the model does; then the input of what comes next.
  @inline(__always)
  private func addToHidden(
    _ row: Int, _ layer: Int, _ place: ResidentHidden.Place, _ outputNorm: DecoderLayer.Norm?, _ outputPlace: Int,
    then inputNorm: DecoderLayer.Norm?, _ inputPlace: Int, isLast: Bool = false, forms: InputForms
  ) {
    let projected = workspace.projected.row(row)
    if let outputNorm { normalize(projected, projected, outputNorm, outputPlace, row, count: config.hiddenSize) }
    if config.residualScale != 1 { kernels.scale(projected, by: config.residualScale, count: config.hiddenSize) }
    changeAnswer(projected, row, layer, place)
    kernels.add(workspace.hidden.row(row), projected, count: config.hiddenSize)
    if place == .feedForwardOutput { steer(workspace.hidden.row(row), row, layer) }
    if !isLast { normalize(row, into: row, inputNorm, inputPlace, forms) }
  }

  /// normed = norm(hidden), or hidden itself.
  @inline(__always)
  private func normalize(_ row: Int, into target: Int, _ norm: DecoderLayer.Norm?, _ place: Int, _ forms: InputForms) {
    let (normed, hidden) = (workspace.normed.row(target), workspace.hidden.row(row))
    if let norm {
      normalize(normed, hidden, norm, place, row, count: config.hiddenSize)
    } else {
      normed.update(from: hidden, count: config.hiddenSize)
    }
    workspace.normed.write(forms, row: target, begin: 0, end: config.hiddenSize, kernels)
  }
}

/// Slices of rows times columns, so that one row is enough work for several threads.
struct ActivationPieces {
  private static let width = 512
  private let columnCount: Int
  private let rowCount: Int
  private let grain: Int
  private let across: Int
  let count: Int

  init(columns: Int, rows: Int, grain: Int) {
    columnCount = columns
    rowCount = rows
    self.grain = max(grain, 1)
    across = (columns + ActivationPieces.width - 1) / ActivationPieces.width
    count = across * ((rows + self.grain - 1) / self.grain)
  }

  @inline(__always)
  func rows(_ index: Int) -> Range<Int> {
    let first = index / across * grain
    return first..<min(first + grain, rowCount)
  }

  @inline(__always)
  func columns(_ index: Int) -> Range<Int> {
    let begin = index % across * ActivationPieces.width
    return begin..<min(begin + ActivationPieces.width, columnCount)
  }
}
