// SPDX-License-Identifier: Apache-2.0

internal import WeftTransformer

extension Engine {
  /// Divides the rows of the step: first one for each sequence that decodes, then prompts with the rows that are left.
  func schedule() {
    var left = batch.maximumRows
    for isDecoding in [true, false] {
      for sequence in running where sequence.isDecoding == isDecoding && !sequence.isFinished && left > 0 {
        reusePrefix(sequence)
        writePrefix(sequence)
        let rest = sequence.length - sequence.cachedCount
        if sequence.activated.readsWholePrompts && !isDecoding && rest > left { continue }
        sequence.scheduledRows = sequence.phases.rows(
          from: sequence.cachedCount, to: sequence.cachedCount + min(rest, isDecoding ? 1 : left))
        left -= sequence.scheduledRows.count
      }
    }
  }

  /// Fills the batch with the scheduled rows.
  func fillBatch() {
    let gates = computeGates()
    batch.removeAll()
    for sequence in running where !sequence.scheduledRows.isEmpty {
      let rows = sequence.scheduledRows
      let isComplete = rows.upperBound == sequence.length
      sequence.logitIndex = isComplete ? batch.logitRowCount : nil
      batch.append(
        sequence.tokens, behind: sequence.prefix, rows, sequence.phases, sequence.blocks, logits: isComplete ? .last : .none,
        gates: gates[sequence.id])
    }
  }

  /// Runs the scheduled rows of sequences whose experts are chosen by the base over the base alone. Empty when there are none.
  private func computeGates() -> [SequenceID: ExternalGates] {
    let gated = running.filter { $0.gateAdapter != nil && !$0.scheduledRows.isEmpty }
    guard !gated.isEmpty else { return [:] }
    batch.removeAll()
    for sequence in gated {
      batch.append(sequence.tokens, behind: [], sequence.scheduledRows, [.base], sequence.gateBlocks, logits: .none)
    }
    transformer.forward(batch)
    var (gates, row): ([SequenceID: ExternalGates], Int) = ([:], 0)
    for sequence in gated {
      let rows = row..<row + sequence.scheduledRows.count
      if let adapter = sequence.gateAdapter { gates[sequence.id] = transformer.computeGates(adapter.resident, rows: rows) }
      row = rows.upperBound
    }
    return gates
  }

  /// Keys and values that an adapter puts before the tokens are there without a step.
  private func writePrefix(_ sequence: TokenSequence) {
    guard sequence.cachedCount < sequence.prefix.count, let active = sequence.phases[0].active,
      case .keysAndValues = active.prompt
    else { return }
    sequence.blocks.withUnsafeBufferPointer { table in
      if let table = table.baseAddress { transformer.writePrefix(of: active, blockTable: table) }
    }
    sequence.cachedCount = sequence.prefix.count
  }
}
