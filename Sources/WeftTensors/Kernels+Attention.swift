// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

/// How the KV cache stores keys and values.
package enum KVDType: Sendable {
  case f32, f16
  /// int8 with an f16 scale for every 32 dimensions of a token; the rest of a head that is no multiple of 32 has its own.
  case q8_0

  /// Bytes of the keys of one head in a block of 16 tokens.
  package func keyBytes(headDimension: Int) -> Int { blockBytes(width: headDimension, headDimension) }
  /// Bytes of the values of one head in a block of 16 tokens: rows of them are padded to 16.
  package func valueBytes(headDimension: Int) -> Int { blockBytes(width: MatrixView.padded(headDimension), headDimension) }

  private func blockBytes(width: Int, _ headDimension: Int) -> Int {
    let elements = width * Kernels.kvBlockTokens
    switch self {
    case .f32: return elements * 4
    case .f16: return elements * 2
    case .q8_0:
      let scales = (headDimension + MatrixView.blockColumns - 1) / MatrixView.blockColumns * Kernels.kvBlockTokens
      return elements + scales * 2
    }
  }
}

/// Rows of one sequence at consecutive positions, for one key-value head: what one call of attention reads and writes.
package struct AttentionTask {
  /// Row t, head h of the group: at `out + t * outStride + h * headDimension`; queries likewise.
  package var out: UnsafeMutablePointer<Float>
  package var outStride: Int
  package var query: UnsafePointer<Float>
  package var queryStride: Int
  package var rows: Int
  package var group: Int
  package var headDimension: Int
  /// Row t stands at position p = firstPosition + t and sees positions up to p.
  package var firstPosition: Int
  package var blockTable: UnsafePointer<Int32>
  /// Keys and values of block 0 of this head; block b is `b * blockStride` bytes further.
  package var keys: UnsafeRawPointer
  package var values: UnsafeRawPointer
  package var blockStride: Int
  package var scale: Float
  /// A row sees this many positions at most, its own included; 0 for all.
  package var window: Int
  /// Scaled scores s become softcap * tanh(s / softcap); 0 for none.
  package var softcap: Float

  package init(
    out: UnsafeMutablePointer<Float>, outStride: Int, query: UnsafePointer<Float>, queryStride: Int, rows: Int, group: Int,
    headDimension: Int, firstPosition: Int, blockTable: UnsafePointer<Int32>, keys: UnsafeRawPointer, values: UnsafeRawPointer,
    blockStride: Int, scale: Float, window: Int = 0, softcap: Float = 0
  ) {
    self.out = out
    self.outStride = outStride
    self.query = query
    self.queryStride = queryStride
    self.rows = rows
    self.group = group
    self.headDimension = headDimension
    self.firstPosition = firstPosition
    self.blockTable = blockTable
    self.keys = keys
    self.values = values
    self.blockStride = blockStride
    self.scale = scale
    self.window = window
    self.softcap = softcap
  }
}

extension Kernels {
  /// Tokens in a block of the KV cache.
  package static let kvBlockTokens = Int(WEFT_KV_BLOCK)
  /// The widest head that the attention kernels take.
  package static let maximumHeadDimension = 512

  /// Causal attention with a running softmax, within a window.
  @inline(__always)
  package func attend(_ task: AttentionTask, _ dtype: KVDType) {
    var raw = weft_attention_task(
      out: task.out, query: task.query, out_stride: task.outStride, query_stride: task.queryStride, rows: task.rows,
      group: task.group, head_dim: task.headDimension, first_position: task.firstPosition, window: task.window,
      block_table: task.blockTable, keys: task.keys, values: task.values, block_stride: task.blockStride, scale: task.scale,
      softcap: task.softcap)
    switch dtype {
    case .f32: table.attention_f32(&raw)
    case .f16: table.attention_f16(&raw)
    case .q8_0: table.attention_q8_0(&raw)
    }
  }

  /// Writes one token's key and value of one head into `slot` (0 ..< 16) of a block.
  @inline(__always)
  package func storeKV(
    keys: UnsafeMutableRawPointer, values: UnsafeMutableRawPointer, _ k: UnsafePointer<Float>, _ v: UnsafePointer<Float>,
    headDimension: Int, slot: Int, _ dtype: KVDType
  ) {
    switch dtype {
    case .f32: table.kv_store_f32(keys, values, k, v, headDimension, slot)
    case .f16: table.kv_store_f16(keys, values, k, v, headDimension, slot)
    case .q8_0: table.kv_store_q8_0(keys, values, k, v, headDimension, slot)
    }
  }
}
