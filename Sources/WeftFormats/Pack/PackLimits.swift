// SPDX-License-Identifier: Apache-2.0

/// Sizes of the pack format that writer and reader hold to.
package enum PackLimits {
  /// A tensor and the index may be this many times as large decoded as they are stored. A writer whose tensor compresses further
  /// makes its zstd frame longer.
  package static let expansion = 1024
  /// Chunks, and the index, begin at multiples of this.
  static let alignment = 64
  /// Tensors smaller than this share a chunk, until it is as large.
  static let chunkBytes = 65536
  /// The axes of a tensor.
  static let axes = 8
  /// The largest pack that is read when nothing else is said.
  package static let standardBytes = 1 << 36

  /// The next multiple of the alignment.
  static func aligned(_ offset: Int) -> Int { (offset + alignment - 1) / alignment * alignment }
}
