// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension Step {
  /// Rotates queries and keys of some rows and writes their keys and values into the cache.
  @inline(__always)
  func rotateAndStore(_ rows: Range<Int>, layer: Int) {
    let d = config.headDimension
    batch.layout.forEachSegment(in: rows) { segment, rows in
      for row in rows {
        let q = workspace.attentionIn.row(row)
        let k = q + workspace.keyOffset
        let v = q + workspace.valueOffset
        let cosSin = UnsafePointer(workspace.rotary.row(row))
        kernels.rope(q, cosSin: cosSin, heads: config.headCount, headDimension: d)
        kernels.rope(k, cosSin: cosSin, heads: config.keyValueHeadCount, headDimension: d)
        let position = segment.firstPosition + row - segment.firstRow
        let block = Int(segment.blockTable[position / Kernels.kvBlockTokens])
        for head in 0..<config.keyValueHeadCount {
          let keys = cache.keys(layer: layer, head: head) + block * cache.blockStride
          kernels.storeKV(
            keys: keys, values: keys + cache.keyBytes, k + head * d, v + head * d, headDimension: d,
            slot: position % Kernels.kvBlockTokens, cache.dtype)
        }
      }
    }
  }

  /// The attention phase: slices of (segment, key-value head, some rows). Leaves `attentionOut` ready for the output projection.
  func attend(layer: Int, quantize: Bool) {
    let grain = 16
    let group = config.headCount / config.keyValueHeadCount
    let width = group * config.headDimension
    // Where heads and blocks of 32 columns have common boundaries, a slice quantises what it wrote.
    let inPlace = quantize && width % MatrixView.blockColumns == 0
    var total = 0
    for index in 0..<batch.segmentCount { total += (batch.layout.segments[index].rowCount + grain - 1) / grain }
    worker.slices(total * config.keyValueHeadCount, grain: 1) { claimed in
      let head = claimed.lowerBound % config.keyValueHeadCount
      var piece = claimed.lowerBound / config.keyValueHeadCount
      var index = 0
      while piece >= (batch.layout.segments[index].rowCount + grain - 1) / grain {
        piece -= (batch.layout.segments[index].rowCount + grain - 1) / grain
        index += 1
      }
      let segment = batch.layout.segments[index]
      let first = piece * grain
      let rows = min(grain, segment.rowCount - first)
      let row = segment.firstRow + first
      let keys = UnsafeRawPointer(cache.keys(layer: layer, head: head))
      kernels.attend(
        AttentionTask(
          out: workspace.attentionOut.row(row) + head * width, outStride: workspace.attentionOut.stride,
          query: workspace.attentionIn.row(row) + head * width, queryStride: workspace.attentionIn.stride, rows: rows,
          group: group, headDimension: config.headDimension, firstPosition: segment.firstPosition + first,
          blockTable: segment.blockTable, keys: keys, values: keys + cache.keyBytes, blockStride: cache.blockStride,
          scale: 1 / Float(config.headDimension).squareRoot()), cache.dtype)
      if inPlace {
        for row in row..<row + rows {
          workspace.attentionOut.quantize(row: row, begin: head * width, end: (head + 1) * width, kernels)
        }
      }
    }
    worker.barrier()
    guard quantize, !inPlace else { return }
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      for row in rows { workspace.attentionOut.quantize(row: row, begin: 0, end: config.queryWidth, kernels) }
    }
    worker.barrier()
  }
}
