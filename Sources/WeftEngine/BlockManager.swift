// SPDX-License-Identifier: Apache-2.0

/// Who uses which blocks of the KV cache, and what full ones hold.
///
/// A block is used by one or more sequences, or by none. A full block can be published: from then on it is found by its content
/// (its tokens, the adapters they ran under, and the published block before it) and shared by sequences that begin alike.
/// Published blocks that nobody uses keep their content until memory is needed; then the one that was used least recently goes.
///
/// Invariants: a block that nobody uses is either empty (in `empty`) or published (in the list of idle blocks); only full blocks
/// are published, and nobody writes to them; every block that a sequence holds is counted once for that sequence.
package struct BlockManager {
  /// Tokens in a block.
  package static let blockTokens = 16

  /// What a published block holds.
  private struct Content {
    /// Serial number of the block before it; 0 for the first one.
    var parent: Int
    /// Never given twice, so that a block that was emptied and filled again is another one.
    var serial: Int
    var identity: KVIdentity
    var hash: Int
  }

  package let blockCount: Int
  private var userCounts: [Int32]
  private var contents: [Content?]
  /// `blockTokens` for each block.
  private var tokens: [Int32]
  private var empty: [Int32]
  /// Published blocks by a hash of their content. Two contents of one hash: the first one is found, the other is not shared.
  private var published: [Int: Int32] = [:]
  private var lastSerial = 0
  /// Idle blocks, least recently used first; a list through two arrays, whose last element is the head.
  private var next: [Int32]
  private var previous: [Int32]
  private var idleCount = 0

  package init(blockCount: Int) {
    self.blockCount = blockCount
    userCounts = [Int32](repeating: 0, count: blockCount)
    contents = [Content?](repeating: nil, count: blockCount)
    tokens = [Int32](repeating: 0, count: blockCount * BlockManager.blockTokens)
    empty = (0..<Int32(blockCount)).reversed()
    published.reserveCapacity(blockCount)
    next = [Int32](repeating: Int32(blockCount), count: blockCount + 1)
    previous = next
  }

  /// Blocks that nobody uses.
  package var freeCount: Int { empty.count + idleCount }
  /// Blocks whose content can be found.
  package var publishedCount: Int { published.count }

  /// Blocks that `tokens` positions need.
  package static func blocks(for tokens: Int) -> Int { (tokens + blockTokens - 1) / blockTokens }

  /// Takes `count` blocks to write to, or nil when fewer are free. Content that was used least recently is lost first.
  package mutating func allocate(_ count: Int) -> [Int32]? {
    guard count <= freeCount else { return nil }
    while empty.count < count { forget(next[blockCount]) }
    let taken = Array(empty.suffix(count))
    empty.removeLast(count)
    for block in taken { userCounts[Int(block)] = 1 }
    return taken
  }

  /// A user gives blocks back, those of one sequence in order: of a beginning that many share, the end is forgotten first.
  package mutating func release(_ blocks: [Int32]) {
    for block in blocks.reversed() {
      let index = Int(block)
      userCounts[index] -= 1
      guard userCounts[index] == 0 else { continue }
      if contents[index] == nil { empty.append(block) } else { appendIdle(block) }
    }
  }

  /// The published block that holds these `blockTokens` tokens behind the block with serial number `parent`; nil when none does.
  package func find(_ wanted: UnsafeBufferPointer<Int32>, after parent: Int, _ identity: KVIdentity) -> Int32? {
    guard let block = published[BlockManager.hash(wanted, parent, identity)], let content = contents[Int(block)],
      content.parent == parent, content.identity == identity
    else { return nil }
    let first = Int(block) * BlockManager.blockTokens
    return (0..<BlockManager.blockTokens).allSatisfy { tokens[first + $0] == wanted[$0] } ? block : nil
  }

  /// One more user of a published block. Returns its serial number.
  package mutating func share(_ block: Int32) -> Int {
    let index = Int(block)
    guard let content = contents[index] else { preconditionFailure("only published blocks are shared") }
    if userCounts[index] == 0 { removeIdle(block) }
    userCounts[index] += 1
    return content.serial
  }

  /// Makes a full block findable, unless one with this content is. Returns the serial number of the one that is found from
  /// now on; nil when there is none, because another content has the same hash.
  package mutating func publish(
    _ block: Int32, _ full: UnsafeBufferPointer<Int32>, after parent: Int, _ identity: KVIdentity
  ) -> Int? {
    if let found = find(full, after: parent, identity) { return contents[Int(found)]?.serial }
    let hash = BlockManager.hash(full, parent, identity)
    guard published[hash] == nil else { return nil }
    published[hash] = block
    lastSerial += 1
    contents[Int(block)] = Content(parent: parent, serial: lastSerial, identity: identity, hash: hash)
    for (offset, token) in full.enumerated() { tokens[Int(block) * BlockManager.blockTokens + offset] = token }
    return lastSerial
  }

  /// Forgets all content, when what it was computed with has changed. Users keep their blocks.
  package mutating func forgetAll() {
    published.removeAll(keepingCapacity: true)
    for index in contents.indices {
      guard contents[index] != nil else { continue }
      contents[index] = nil
      guard userCounts[index] == 0 else { continue }
      removeIdle(Int32(index))
      empty.append(Int32(index))
    }
  }

  private mutating func forget(_ block: Int32) {
    removeIdle(block)
    if let content = contents[Int(block)] { published[content.hash] = nil }
    contents[Int(block)] = nil
    empty.append(block)
  }

  private mutating func appendIdle(_ block: Int32) {
    let last = previous[blockCount]
    (previous[Int(block)], next[Int(block)]) = (last, Int32(blockCount))
    next[Int(last)] = block
    previous[blockCount] = block
    idleCount += 1
  }

  private mutating func removeIdle(_ block: Int32) {
    let (before, after) = (previous[Int(block)], next[Int(block)])
    next[Int(before)] = after
    previous[Int(after)] = before
    idleCount -= 1
  }

  private static func hash(_ tokens: UnsafeBufferPointer<Int32>, _ parent: Int, _ identity: KVIdentity) -> Int {
    var hasher = Hasher()
    hasher.combine(parent)
    hasher.combine(identity)
    hasher.combine(bytes: UnsafeRawBufferPointer(tokens))
    return hasher.finalize()
  }
}
