// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// y = W x + b. The only place that knows weight formats and deltas: everything else calls `LinearGroup`.
struct Linear {
  let weight: MatrixView
  let bias: UnsafePointer<Float>?
}

/// Up to three linear maps that read the same rows and write side by side: q, k, v; gate, up; or one alone.
///
/// A step computes it in one phase. Its prelude gives u = diag(w s) A x, the low-rank activations of all active adapters; behind it
/// slices of output tiles get W x, and, while they are in a cache, B u and the bias. Adapters with other operators add phases before
/// and behind (`LinearGroup+Operations`).
struct LinearGroup {
  let parts: (Linear, Linear?, Linear?)
  /// Where each part begins in a row of y.
  let offsets: (Int, Int, Int)
  /// Which factors of an adapter belong here: an index into `ResidentAdapter.groupTable` and `ModelConfig.inputGroups`.
  let site: Int
  /// Whether what makes the input scales it for adapters that do nothing else to it: see `scalesInputInPlace`.
  let hasScalingProducer: Bool
  /// The weights of all parts, as they lie in memory.
  let memory: UnsafeRawBufferPointer

  /// Where a thread begins to read the weights, as far as its cache can hold them beside other things.
  @inline(__always)
  func share(of worker: Worker) -> UnsafeRawBufferPointer {
    let share = memory.count / worker.threadCount
    let begin = share * worker.index
    return UnsafeRawBufferPointer(rebasing: memory[begin..<begin + min(share, 128 << 10)])
  }

  @inline(__always)
  func part(_ index: Int) -> Linear? {
    switch index {
    case 0: parts.0
    case 1: parts.1
    default: parts.2
    }
  }

  @inline(__always)
  func offset(_ index: Int) -> Int {
    switch index {
    case 0: offsets.0
    case 1: offsets.1
    default: offsets.2
    }
  }

  private var tileCount: Int {
    parts.0.weight.tileCount + (parts.1?.weight.tileCount ?? 0) + (parts.2?.weight.tileCount ?? 0)
  }

  /// In which forms its weights read a row, and the factors of adapters of the batch.
  func inputForms(_ layout: RowLayout) -> InputForms {
    var forms = InputForms(parts.0.weight.inputForm)
    forms.formUnion(InputForms(parts.1?.weight.inputForm))
    forms.formUnion(InputForms(parts.2?.weight.inputForm))
    if layout.quantizedCount > 0, parts.0.weight.columns % MatrixView.blockColumns == 0 { forms.insert(.blocks) }
    return forms
  }

  /// How a product is divided among threads: pieces of `grain` tiles. Where something is added to many rows of them, few enough
  /// that they are still in a cache; few rows always are, and weights and factors arrive sooner in long runs.
  @inline(__always)
  func pieces(_ layout: RowLayout, threads: Int) -> (count: Int, grain: Int) {
    let tiles = tileCount
    let fair = threads == 1 ? tiles : max(4, (tiles / (threads * 8) + 3) / 4 * 4)
    let grain = layout.rowCount > Step.fewRows && (layout.entryCount > 0 || parts.0.bias != nil) ? min(fair, 32) : fair
    return ((tiles + grain - 1) / grain, grain)
  }

  /// One piece of y = W x + B u + b, for all rows; of W x alone where `adjust` does the rest.
  /// - Parameters:
  ///   - changed: the inputs of the parts whose input an adapter changes.
  ///   - worker: waits for u when it is needed.
  @inline(__always)
  func multiply(
    piece: Int, grain: Int, _ y: Activations, _ x: Activations, changed: ChangedInputs? = nil, layout: RowLayout,
    low: Activations, _ kernels: Kernels, _ worker: Worker, preludes: Int
  ) {
    let tiles = piece * grain..<min((piece + 1) * grain, tileCount)
    forEachPart(in: tiles) { index, linear, tiles in
      let input = (changed?[index] ?? x).input(linear.weight.inputForm)
      kernels.multiply(
        y.floats + offset(index), yStride: y.stride, linear.weight, input.rows, xStride: input.stride, tiles: tiles,
        rows: layout.rowCount, accumulate: false)
    }
    guard !isAdjusted(layout) else { return }
    if layout.entryCount > 0 { worker.awaitPrelude(preludes) }
    forEachPart(in: tiles) { index, linear, tiles in
      finish(y, part: index, linear, tiles: tiles, layout: layout, low: low, kernels)
    }
  }

  /// Calls `body` with every part that has some of the tiles, counted over all parts, and with these tiles of it.
  @inline(__always)
  private func forEachPart(in tiles: Range<Int>, _ body: (_ index: Int, _ linear: Linear, _ tiles: Range<Int>) -> Void) {
    var first = 0
    for index in 0..<3 {
      guard let linear = part(index) else { continue }
      let count = linear.weight.tileCount
      let begin = max(tiles.lowerBound - first, 0)
      let end = min(tiles.upperBound - first, count)
      first += count
      if begin < end { body(index, linear, begin..<end) }
    }
  }

  /// u of the `entry`-th active adapter of the batch, counted over all segments.
  func multiplyLow(entry: Int, layout: RowLayout, low: Activations, _ x: Activations, _ kernels: Kernels) {
    var (segment, index) = (0, entry)
    while index >= layout.segments[segment].entries.count {
      index -= layout.segments[segment].entries.count
      segment += 1
    }
    let rows = layout.segments[segment]
    let active = rows.entries[index]
    let group = active.groups[site].pointee
    let u = low.row(rows.firstRow) + active.offset
    let x = x.from(row: rows.firstRow)
    var first = u
    for index in 0..<3 {
      guard let a = group.input(index) else { break }
      let input = x.input(a.inputForm)
      kernels.shrink(first, uStride: low.stride, a, input.rows, xStride: input.stride, rows: rows.rowCount)
      first += a.paddedRows
    }
    for index in 0..<3 {
      guard let part = group.part(index), part.ownsInput else { continue }
      let weight = active.weight(group: site, part: index)
      if let gate = part.gate {
        gate.pointee.apply(
          u + part.offset, stride: low.stride, rows: rows.rowCount, weight: weight, external: rows.gates,
          externalStride: rows.gateStride)
        continue
      }
      for row in 0..<rows.rowCount {
        kernels.scale(u + row * low.stride + part.offset, by: weight * part.scale, count: part.rank)
      }
    }
  }

  /// Adds B u and the bias to `tiles` of a part.
  @inline(__always)
  private func finish(
    _ y: Activations, part index: Int, _ linear: Linear, tiles: Range<Int>, layout: RowLayout, low: Activations,
    _ kernels: Kernels
  ) {
    if layout.entryCount > 0 {
      for segment in 0..<layout.segmentCount {
        let segment = layout.segments[segment]
        for active in segment.entries {
          guard let part = active.groups[site].pointee.part(index) else { continue }
          kernels.expand(
            y.row(segment.firstRow) + offset(index), yStride: y.stride, part.b,
            low.row(segment.firstRow) + active.offset + part.offset, uStride: low.stride, tiles: tiles,
            rows: segment.rowCount)
        }
      }
    }
    if let bias = linear.bias {
      let columns = tiles.lowerBound * MatrixView.tileRows..<min(tiles.upperBound * MatrixView.tileRows, linear.weight.rows)
      for row in 0..<layout.rowCount {
        kernels.add(y.row(row) + offset(index) + columns.lowerBound, bias + columns.lowerBound, count: columns.count)
      }
    }
  }
}
