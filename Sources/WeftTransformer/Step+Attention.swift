// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension Step {
  /// Normalises and rotates queries and keys of some rows and writes their keys and values into the cache.
  @inline(__always)
  func rotateAndStore(_ rows: Range<Int>, _ layer: DecoderLayer, _ index: Int) {
    let d = config.headDimension
    let (heads, keyValueHeads) = (layer.config.headCount, layer.config.keyValueHeadCount)
    batch.layout.forEachSegment(in: rows) { segment, rows in
      for row in rows {
        let q = workspace.attentionIn.row(row)
        let k = q + layer.attention.offset(1)
        let v = q + layer.attention.offset(2)
        normalizeHeads(q, layer.queryNorm, ResidentNorms.index(index, .query), row, heads)
        normalizeHeads(k, layer.keyNorm, ResidentNorms.index(index, .key), row, keyValueHeads)
        if let table = layer.config.rotary {
          var cosSin = UnsafePointer(workspace.rotary.row(row))
          for earlier in 0..<table { cosSin += config.rotaries[earlier].dimension }
          let rotated = config.rotaries[table].dimension
          kernels.rope(q, cosSin: cosSin, heads: heads, headDimension: d, rotated: rotated)
          kernels.rope(k, cosSin: cosSin, heads: keyValueHeads, headDimension: d, rotated: rotated)
        }
        let position = segment.firstPosition + row - segment.firstRow
        let block = Int(segment.blockTable[position / Kernels.kvBlockTokens])
        for head in 0..<keyValueHeads {
          let keys = cache.keys(layer: index, head: head) + block * cache.blockStride
          kernels.storeKV(
            keys: keys, values: keys + cache.keyBytes, k + head * d, v + head * d, headDimension: d,
            slot: position % Kernels.kvBlockTokens, cache.dtype)
        }
      }
    }
  }

  /// Every head by itself, or the whole row at once.
  @inline(__always)
  private func normalizeHeads(
    _ x: UnsafeMutablePointer<Float>, _ norm: DecoderLayer.Norm?, _ place: Int, _ row: Int, _ heads: Int
  ) {
    guard let norm else { return }
    let d = config.headDimension
    if config.queryKeyNorm == .row {
      normalize(x, x, norm, place, row, count: heads * d)
    } else {
      for head in 0..<heads { normalize(x + head * d, x + head * d, norm, place, row, count: d) }
    }
  }

  /// The attention phase: slices of (segment, key-value head, some rows). Leaves `attentionOut` ready for the output projection.
  func attend(_ layer: DecoderLayer, _ layerIndex: Int) {
    let forms = layer.output.inputForms(batch.layout)
    let grain = 16
    let keyValueHeads = layer.config.keyValueHeadCount
    let group = layer.config.headCount / keyValueHeads
    let width = group * config.headDimension
    let memory = workspace.attentionOut
    // Where heads and blocks of 32 columns have common boundaries, a slice writes the other forms of what it wrote.
    let inPlace = !forms.contains(.blocks) || width % MatrixView.blockColumns == 0
    let scales = layer.output.scalesInputInPlace(batch.layout)
    var total = 0
    for index in 0..<batch.segmentCount { total += (batch.layout.segments[index].rowCount + grain - 1) / grain }
    worker.slices(total * keyValueHeads, grain: 1) { claimed in
      let head = claimed.lowerBound % keyValueHeads
      var piece = claimed.lowerBound / keyValueHeads
      var index = 0
      while piece >= (batch.layout.segments[index].rowCount + grain - 1) / grain {
        piece -= (batch.layout.segments[index].rowCount + grain - 1) / grain
        index += 1
      }
      let segment = batch.layout.segments[index]
      let first = piece * grain
      let rows = min(grain, segment.rowCount - first)
      let row = segment.firstRow + first
      let keys = UnsafeRawPointer(cache.keys(layer: layerIndex, head: head))
      kernels.attend(
        AttentionTask(
          out: memory.row(row) + head * width, outStride: memory.stride,
          query: workspace.attentionIn.row(row) + head * width, queryStride: workspace.attentionIn.stride, rows: rows,
          group: group, headDimension: config.headDimension, firstPosition: segment.firstPosition + first,
          blockTable: segment.blockTable, keys: keys, values: keys + cache.keyBytes, blockStride: cache.blockStride,
          scale: config.attentionScale, window: layer.config.window, softcap: config.attentionSoftcap), cache.dtype)
      if batch.layout.gatedPromptCount > 0 {
        addGatedPrompts(
          layerIndex, layer, head: head, rows: row..<row + rows, of: segment, isProjected: true, to: memory)
      }
      if scales {
        for row in row..<row + rows {
          layer.output.scaleInput(
            memory.row(row), columns: head * width..<(head + 1) * width, row: row, layout: batch.layout, worker)
        }
      }
      if inPlace {
        for row in row..<row + rows {
          memory.write(forms, row: row, begin: head * width, end: (head + 1) * width, kernels)
        }
      }
    }
    worker.barrier()
    guard !inPlace else { return }
    worker.slices(batch.rowCount, grain: rowGrain) { rows in
      for row in rows { memory.write(forms, row: row, begin: 0, end: width * keyValueHeads, kernels) }
    }
    worker.barrier()
  }
}
