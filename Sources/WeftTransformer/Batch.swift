// SPDX-License-Identifier: Apache-2.0

/// Rows of one sequence: consecutive rows, consecutive positions, one block table, one mixture.
struct Segment {
  var firstRow: Int
  var rowCount: Int
  var firstPosition: Int
  var blockTable: UnsafePointer<Int32>
  /// The active adapters, kept alive by the batch; empty for the base alone.
  var entries: UnsafeBufferPointer<ActiveMixture.Entry>
  /// Gates that were computed before the step, of the first row; `gateStride` floats between rows. nil where there are none.
  var gates: UnsafePointer<Float>?
  var gateStride = 0
}

/// Gates that `Transformer.computeGates` made of the rows of an earlier step.
package struct ExternalGates {
  /// Those of the first row [layers, experts].
  let first: UnsafePointer<Float>
  /// Floats between rows.
  let stride: Int

  /// Those of the rows from `count` on.
  package func dropping(_ count: Int) -> ExternalGates { ExternalGates(first: first + count * stride, stride: stride) }
}

/// How rows are divided into segments: what a linear map has to know of a batch.
struct RowLayout {
  var rowCount = 0
  var segmentCount = 0
  /// Active adapters of all segments together.
  var entryCount = 0
  /// Those of them that do more to linear maps than low rank, those that replace norms, and those that change hidden states.
  var operationCount = 0
  var normCount = 0
  /// Those that have prompts inside attention.
  var gatedPromptCount = 0
  var hiddenCount = 0
  /// Those whose low rank reads int8 blocks.
  var quantizedCount = 0
  let segments: UnsafeMutablePointer<Segment>

  mutating func append(_ segment: Segment) {
    segments[segmentCount] = segment
    segmentCount += 1
    entryCount += segment.entries.count
    for entry in segment.entries {
      if entry.hasOperations { operationCount += 1 }
      if entry.norms != nil { normCount += 1 }
      if entry.gatedPrompts != nil { gatedPromptCount += 1 }
      if entry.hidden != nil { hiddenCount += 1 }
      if entry.readsQuantized { quantizedCount += 1 }
    }
    rowCount += segment.rowCount
  }

  /// Appends one row with the mixture of `segment`: to the last segment when that has the same, else as a segment of its own.
  /// There must be memory for as many segments as rows. Positions and blocks are not looked at.
  mutating func addRow(of segment: Segment) {
    if segmentCount > 0, segments[segmentCount - 1].entries.baseAddress == segment.entries.baseAddress,
      segments[segmentCount - 1].blockTable == segment.blockTable
    {
      segments[segmentCount - 1].rowCount += 1
      rowCount += 1
      return
    }
    var own = segment
    own.firstRow = rowCount
    own.rowCount = 1
    append(own)
  }

  mutating func removeAll() {
    rowCount = 0
    segmentCount = 0
    entryCount = 0
    operationCount = 0
    normCount = 0
    gatedPromptCount = 0
    hiddenCount = 0
    quantizedCount = 0
  }

  /// The segment of a row.
  @inline(__always)
  func segment(of row: Int) -> Segment {
    var index = 0
    while row >= segments[index].firstRow + segments[index].rowCount { index += 1 }
    return segments[index]
  }

  /// The active adapters of a row.
  @inline(__always)
  func entries(of row: Int) -> UnsafeBufferPointer<ActiveMixture.Entry> { segment(of: row).entries }

  /// Calls `body` with every segment that has some of `rows`, and with those rows.
  @inline(__always)
  func forEachSegment(in rows: Range<Int>, _ body: (Segment, Range<Int>) -> Void) {
    for index in 0..<segmentCount {
      let segment = segments[index]
      let begin = max(rows.lowerBound, segment.firstRow)
      let end = min(rows.upperBound, segment.firstRow + segment.rowCount)
      if begin < end { body(segment, begin..<end) }
    }
  }
}

/// Everything that a step may see: tokens, positions, block tables, mixtures. Reused from step to step; nothing in it grows
/// after `init`.
package final class Batch {
  package let maximumRows: Int
  package let maximumSegments: Int
  /// Layers to run; all when nil. With fewer, there are no logits, and `Transformer.hidden` is the result.
  package var layerLimit: Int?
  /// Token of each row.
  let tokens: UnsafeMutablePointer<Int32>
  /// Position of each row.
  let positions: UnsafeMutablePointer<Int32>
  /// Rows whose logits are wanted, ascending.
  let logitRows: UnsafeMutablePointer<Int32>
  /// All rows.
  private(set) var layout: RowLayout
  /// The rows whose logits are wanted, numbered anew.
  private(set) var logitLayout: RowLayout
  private var mixtures: [ActiveMixture] = []

  package var rowCount: Int { layout.rowCount }
  package var segmentCount: Int { layout.segmentCount }
  package var logitRowCount: Int { logitLayout.rowCount }

  package init(maximumRows: Int, maximumSegments: Int) {
    self.maximumRows = maximumRows
    self.maximumSegments = maximumSegments
    tokens = .allocate(capacity: maximumRows)
    positions = .allocate(capacity: maximumRows)
    logitRows = .allocate(capacity: maximumRows)
    layout = RowLayout(segments: .allocate(capacity: maximumSegments))
    logitLayout = RowLayout(segments: .allocate(capacity: maximumSegments))
    mixtures.reserveCapacity(maximumSegments)
  }

  deinit {
    tokens.deallocate()
    positions.deallocate()
    logitRows.deallocate()
    layout.segments.deallocate()
    logitLayout.segments.deallocate()
  }

  /// Which rows of an appended sequence need logits.
  package enum Logits { case none, last, all }

  /// Empties the batch.
  package func removeAll() {
    layout.removeAll()
    logitLayout.removeAll()
    layerLimit = nil
    mixtures.removeAll(keepingCapacity: true)
  }

  /// Appends rows of one sequence. The tokens must be inside the vocabulary or those of the mixture's prompt, the rows must fit,
  /// and the block table must cover `firstPosition + tokens.count` positions and stay valid until the step is over.
  package func append(
    tokens new: UnsafeBufferPointer<Int32>, firstPosition: Int, blockTable: UnsafePointer<Int32>, mixture: ActiveMixture?,
    logits: Logits, gates: ExternalGates? = nil
  ) {
    precondition(rowCount + new.count <= maximumRows && segmentCount < maximumSegments && !new.isEmpty)
    var segment = Segment(
      firstRow: rowCount, rowCount: new.count, firstPosition: firstPosition, blockTable: blockTable,
      entries: UnsafeBufferPointer(start: nil, count: 0))
    if let gates {
      segment.gates = gates.first
      segment.gateStride = gates.stride
    }
    if let mixture, !mixture.isEmpty {
      mixtures.append(mixture)
      segment.entries = UnsafeBufferPointer(mixture.entries)
    }
    for i in 0..<new.count {
      tokens[rowCount + i] = new[i]
      positions[rowCount + i] = Int32(firstPosition + i)
    }
    let wanted =
      switch logits {
      case .none: 0
      case .last: 1
      case .all: new.count
      }
    for i in 0..<wanted { logitRows[logitRowCount + i] = Int32(rowCount + new.count - wanted + i) }
    layout.append(segment)
    if wanted > 0 {
      segment.gates = segment.gates.map { $0 + (new.count - wanted) * segment.gateStride }
      segment.firstRow = logitRowCount
      segment.rowCount = wanted
      logitLayout.append(segment)
    }
  }
}
