// SPDX-License-Identifier: Apache-2.0

/// Which blocks of the KV cache are free. Invariant: every block is either free or in exactly one block table.
struct BlockManager {
  private var free: [Int32]
  let blockCount: Int
  /// Tokens in a block.
  static let blockTokens = 16

  init(blockCount: Int) {
    self.blockCount = blockCount
    free = (0..<Int32(blockCount)).reversed()
  }

  var freeCount: Int { free.count }

  /// Blocks that `tokens` positions need.
  static func blocks(for tokens: Int) -> Int { (tokens + blockTokens - 1) / blockTokens }

  /// Takes `count` blocks, or nil when fewer are free.
  mutating func allocate(_ count: Int) -> [Int32]? {
    guard count <= free.count else { return nil }
    let taken = Array(free.suffix(count))
    free.removeLast(count)
    return taken
  }

  /// Gives blocks back.
  mutating func release(_ blocks: [Int32]) { free += blocks }
}
