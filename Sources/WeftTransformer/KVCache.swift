// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// Storage of keys and values in blocks of 16 tokens; no policy. Which sequence owns which block is the engine's business.
///
/// One block of one layer holds, for each key-value head, keys [headDimension][16] and values [16][padded headDimension]; with
/// `q8_0`, each with the scales of its tokens behind it.
package struct KVCache: @unchecked Sendable {
  private let storage: Storage
  /// Blocks in each layer.
  package let blockCount: Int
  package let dtype: KVDType
  let headBytes: Int
  let keyBytes: Int
  let blockStride: Int
  private let layerStride: Int

  /// Bytes of all layers.
  package var byteCount: Int { storage.bytes.count }

  /// Bytes that one block of 16 tokens takes in all layers together.
  package static func blockBytes(config: ModelConfig, dtype: KVDType) -> Int {
    config.layerCount * config.keyValueHeadCount
      * (dtype.keyBytes(headDimension: config.headDimension) + dtype.valueBytes(headDimension: config.headDimension))
  }

  /// Bytes of `blockCount` blocks in all layers; nil when that overflows.
  package static func byteCount(config: ModelConfig, blockCount: Int, dtype: KVDType) -> Int? {
    let (bytes, overflow) = blockBytes(config: config, dtype: dtype).multipliedReportingOverflow(by: blockCount)
    return overflow ? nil : bytes
  }

  /// Takes memory for `blockCount` blocks in every layer.
  package init(config: ModelConfig, blockCount: Int, dtype: KVDType) throws(StorageError) {
    keyBytes = dtype.keyBytes(headDimension: config.headDimension)
    headBytes = keyBytes + dtype.valueBytes(headDimension: config.headDimension)
    blockStride = headBytes * config.keyValueHeadCount
    self.blockCount = blockCount
    self.dtype = dtype
    guard let bytes = KVCache.byteCount(config: config, blockCount: blockCount, dtype: dtype) else {
      throw .outOfMemory(bytes: .max)
    }
    layerStride = blockStride * blockCount
    storage = try Storage(byteCount: bytes)
    try storage.commit()
  }

  /// Keys of block 0 of a head; the values are `keyBytes` further.
  @inline(__always)
  func keys(layer: Int, head: Int) -> UnsafeMutableRawPointer {
    storage.base + layer * layerStride + head * headBytes
  }
}
