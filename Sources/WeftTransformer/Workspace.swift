// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Rows of activations: as floats, and as int8 blocks where a quantised matrix reads them.
struct Activations {
  let floats: UnsafeMutablePointer<Float>
  /// Floats between rows.
  let stride: Int
  let quantized: UnsafeMutableRawPointer
  /// Bytes between quantised rows.
  let quantizedStride: Int
  /// Columns in use.
  let columns: Int

  @inline(__always)
  func row(_ index: Int) -> UnsafeMutablePointer<Float> { floats + index * stride }

  /// Quantises columns [begin, end) of a row.
  @inline(__always)
  func quantize(row index: Int, begin: Int, end: Int, _ kernels: Kernels) {
    kernels.quantize(quantized + index * quantizedStride, row(index), columns: columns, begin: begin, end: end)
  }
}

/// All memory that a step writes, reserved once. Row i of everything belongs to row i of the batch.
final class Workspace {
  private let storage: Storage
  /// The residual stream: [rows][hiddenSize].
  let hidden: Activations
  /// The normalised residual stream, input of attention and feed-forward.
  let normed: Activations
  /// q, k, v side by side, each padded to whole tiles.
  let attentionIn: Activations
  /// The heads' outputs, input of the output projection.
  let attentionOut: Activations
  /// gate and up side by side; gate becomes the input of down.
  let feedForward: Activations
  /// What the output and the down projection add to the residual stream.
  let projected: Activations
  /// u: low-rank activations of the active adapters.
  let low: Activations
  /// Cosines and sines of each row's position: [rows][headDimension].
  let rotary: Activations
  /// Logits: [logit rows][vocabularySize padded to tiles].
  let logits: Activations
  /// Where the key and the value part of `attentionIn` begin, and the up part of `feedForward`.
  let keyOffset: Int
  let valueOffset: Int
  let upOffset: Int

  /// Bytes in all.
  var byteCount: Int { storage.bytes.count }

  init(config: ModelConfig, rows: Int, logitRows: Int, deltaWidth: Int) throws(StorageError) {
    keyOffset = MatrixView.padded(config.queryWidth)
    valueOffset = keyOffset + MatrixView.padded(config.keyValueWidth)
    upOffset = MatrixView.padded(config.intermediateSize)
    // Floats in a row, columns of the quantised form (0: there is none), rows.
    let shapes = [
      (config.hiddenSize, 0, rows), (config.hiddenSize, config.hiddenSize, rows),
      (valueOffset + MatrixView.padded(config.keyValueWidth), 0, rows), (config.queryWidth, config.queryWidth, rows),
      (upOffset * 2, config.intermediateSize, rows), (config.hiddenSize, 0, rows), (deltaWidth, 0, rows),
      (config.headDimension, 0, rows), (config.vocabularySize, 0, logitRows),
    ]
    var offset = 0
    var places: [(floats: Int, stride: Int, quantized: Int, quantizedStride: Int, columns: Int)] = []
    for (width, quantizedColumns, rows) in shapes {
      let stride = MatrixView.padded(max(width, 1))
      let quantizedStride = MatrixView.quantizedRowBytes(columns: quantizedColumns)
      let (bytes, overflow) = rows.multipliedReportingOverflow(by: stride * 4 + quantizedStride)
      guard !overflow, offset < Int.max - bytes - 63 else { throw .outOfMemory(bytes: .max) }
      places.append((offset, stride, offset + rows * stride * 4, quantizedStride, quantizedColumns))
      offset += (bytes + 63) / 64 * 64
    }
    let storage = try Storage(byteCount: offset)
    self.storage = storage
    let made = places.map { place in
      Activations(
        floats: (storage.base + place.floats).assumingMemoryBound(to: Float.self), stride: place.stride,
        quantized: storage.base + place.quantized, quantizedStride: place.quantizedStride, columns: place.columns)
    }
    (hidden, normed, attentionIn, attentionOut) = (made[0], made[1], made[2], made[3])
    (feedForward, projected, low, rotary, logits) = (made[4], made[5], made[6], made[7], made[8])
  }
}
