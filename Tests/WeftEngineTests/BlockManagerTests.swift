// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftEngine

/// Blocks without a model: what sequences hold, and what blocks of theirs hold, against a record of what was written.
struct BlockManagerTests {
  private static let size = BlockManager.blockTokens

  private static func identity(_ text: String, _ version: Int = 1) throws -> KVIdentity {
    let mixture = try Mixture(parsing: text)
    return KVIdentity([.init(mixture: mixture, versions: mixture.parts.map { _ in version })])
  }

  private static func find(
    _ blocks: BlockManager, _ tokens: [Int32], after parent: Int, _ identity: KVIdentity
  ) -> Int32? {
    tokens.withUnsafeBufferPointer { blocks.find($0, after: parent, identity) }
  }

  private static func publish(
    _ blocks: inout BlockManager, _ block: Int32, _ tokens: [Int32], after parent: Int, _ identity: KVIdentity
  ) -> Int? {
    tokens.withUnsafeBufferPointer { blocks.publish(block, $0, after: parent, identity) }
  }

  private static func allocate(_ blocks: inout BlockManager, _ count: Int) throws -> [Int32] {
    let taken = blocks.allocate(count)
    return try #require(taken)
  }

  @Test func contentIsFoundUnderItsOwnNameOnly() throws {
    var blocks = BlockManager(blockCount: 3)
    let tokens = (0..<Int32(Self.size)).map { $0 }
    let taken = try Self.allocate(&blocks, 2)
    let published = Self.publish(&blocks, taken[0], tokens, after: 0, .base)
    let first = try #require(published)
    #expect(Self.find(blocks, tokens, after: 0, .base) == taken[0])
    #expect(Self.find(blocks, tokens, after: first, .base) == nil, "what stands before it counts")
    #expect(Self.find(blocks, tokens.reversed(), after: 0, .base) == nil)
    for other in [try Self.identity("a"), try Self.identity("a", 2), try Self.identity("a:0.5"), try Self.identity("a@0-3")] {
      #expect(Self.find(blocks, tokens, after: 0, other) == nil)
    }
    // A second block of the same content is not published; its owner goes on behind the first.
    let again = Self.publish(&blocks, taken[1], tokens, after: 0, .base)
    #expect(again == first && blocks.publishedCount == 1)
    blocks.release(taken)
    #expect(blocks.freeCount == 3 && Self.find(blocks, tokens, after: 0, .base) == taken[0])
    let shared = blocks.share(taken[0])
    #expect(shared == first && blocks.freeCount == 2)
    let tooMany = blocks.allocate(3)
    #expect(tooMany == nil)
    blocks.release([taken[0]])
    _ = try Self.allocate(&blocks, 3)
    #expect(blocks.publishedCount == 0, "memory that is needed loses its content")
  }

  @Test func identitiesTellEverythingApart() throws {
    let all = try ["a", "a:0.5", "a@0-3", "a[q_proj=1]", "a,b", "a>b", "b>a", "a,b/average"].map { try Self.identity($0) }
    for (one, first) in all.enumerated() {
      for (two, second) in all.enumerated() { #expect((first == second) == (one == two)) }
    }
    #expect(try Self.identity("b,a") == Self.identity("a,b") && Self.identity("a", 1) != Self.identity("a", 2))
    let mixture = try Mixture(parsing: "a")
    func changed(at offset: Int) -> KVIdentity {
      KVIdentity([.init(mixture: .base, versions: []), .init(offset: offset, mixture: mixture, versions: [1])])
    }
    #expect(changed(at: 3) == changed(at: 3) && changed(at: 3) != changed(at: 4))
  }

  @Test func forgettingAllKeepsWhatIsInUse() throws {
    var blocks = BlockManager(blockCount: 4)
    let tokens = [Int32](repeating: 7, count: Self.size)
    let (used, idle) = (try Self.allocate(&blocks, 1), try Self.allocate(&blocks, 1))
    let serial = Self.publish(&blocks, used[0], tokens, after: 0, .base)
    _ = Self.publish(&blocks, idle[0], tokens, after: try #require(serial), .base)
    blocks.release(idle)
    blocks.forgetAll()
    #expect(blocks.publishedCount == 0 && blocks.freeCount == 3 && Self.find(blocks, tokens, after: 0, .base) == nil)
    blocks.release(used)
    let all = try Self.allocate(&blocks, 4)
    #expect(blocks.freeCount == 0 && Set(all).count == 4)
  }

  /// A beginning that many share loses its end first, and the beginning that was used least recently goes first.
  @Test func leastRecentlyUsedGoesFirst() throws {
    var blocks = BlockManager(blockCount: 4)
    func fill(_ first: Int32) throws -> [Int32] {
      let taken = try Self.allocate(&blocks, 2)
      var parent = 0
      for (index, block) in taken.enumerated() {
        let tokens = [Int32](repeating: first + Int32(index), count: Self.size)
        let serial = Self.publish(&blocks, block, tokens, after: parent, .base)
        parent = try #require(serial)
      }
      return taken
    }
    let (old, new) = (try fill(10), try fill(20))
    blocks.release(old)
    blocks.release(new)
    // Using the older one makes it the newer one.
    _ = blocks.share(old[0])
    blocks.release([old[0]])
    let order = try (0..<4).map { _ in try Self.allocate(&blocks, 1)[0] }
    #expect(order == [old[1], new[1], new[0], old[0]])
  }

  private struct Simulated {
    let tokens: [Int32]
    let identity: KVIdentity
    var table: [Int32]
    var parent = 0
    var publishedCount = 0
    var isOpen = true
  }

  /// What a block holds: everything before it, and itself.
  private struct Content: Equatable {
    let tokens: [Int32]
    let identity: KVIdentity
  }

  /// Ten thousand sequences that come and go, most of them alike at the beginning: nobody ever reads a block that holds something
  /// else, and nobody writes to a block that another one reads.
  @Test func tenThousandArrivals() throws {
    var numbers = SeededGenerator(seed: 5)
    var blocks = BlockManager(blockCount: 40)
    let identities = try ["base", "a", "a:0.5", "a>b"].map { try Self.identity($0) }
    var contents: [Int32: Content] = [:]
    var running: [Simulated] = []
    var (arrivals, sharedBlocks, refusals) = (0, 0, 0)
    while arrivals < 10_000 {
      if !running.isEmpty, running.count == 6 || Bool.random(using: &numbers) {
        let ended = running.remove(at: Int.random(in: running.indices, using: &numbers))
        blocks.release(ended.table)
      } else {
        arrivals += 1
        let length = Int.random(in: 1...12, using: &numbers) * Self.size
        let family = Int32.random(in: 0...2, using: &numbers)
        var tokens = (0..<length).map { Int32($0) &* 31 &+ family }
        if Bool.random(using: &numbers) { tokens[Int.random(in: 0..<length, using: &numbers)] = 9999 }
        var new = Simulated(tokens: tokens, identity: identities.randomElement(using: &numbers) ?? .base, table: [])
        func block(_ index: Int) -> [Int32] { Array(tokens[index * Self.size..<(index + 1) * Self.size]) }
        while new.table.count < length / Self.size,
          let found = Self.find(blocks, block(new.table.count), after: new.parent, new.identity)
        {
          new.table.append(found)
          new.parent = blocks.share(found)
          sharedBlocks += 1
          #expect(
            contents[found] == Content(tokens: Array(tokens[..<(new.table.count * Self.size)]), identity: new.identity))
        }
        new.publishedCount = new.table.count
        guard let rest = blocks.allocate(length / Self.size - new.table.count) else {
          refusals += 1
          blocks.release(new.table)
          continue
        }
        for other in running { #expect(Set(other.table).isDisjoint(with: rest)) }
        for (offset, block) in rest.enumerated() {
          let end = (new.table.count + offset + 1) * Self.size
          contents[block] = Content(tokens: Array(tokens[..<end]), identity: new.identity)
        }
        new.table += rest
        // Some end before all their blocks are full.
        for index in new.publishedCount..<Int.random(in: new.publishedCount...new.table.count, using: &numbers) where new.isOpen
        {
          if let serial = Self.publish(&blocks, new.table[index], block(index), after: new.parent, new.identity) {
            new.parent = serial
          } else {
            new.isOpen = false
          }
        }
        running.append(new)
      }
      let used = Set(running.flatMap(\.table)).count
      #expect(blocks.freeCount == 40 - used && blocks.publishedCount <= 40)
    }
    #expect(sharedBlocks > 5000 && refusals > 100, "\(sharedBlocks) \(refusals)")
  }
}
