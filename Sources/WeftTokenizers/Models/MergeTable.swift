// SPDX-License-Identifier: Apache-2.0

/// Which two neighbours become one, how early, and what they become: (left id, right id) -> (rank, merged id).
struct MergeTable: Sendable {
  struct Merge: Sendable {
    /// `left << 32 | right`; all ones marks a free slot (ids are never negative).
    var pair: UInt64
    /// Lower ranks merge first.
    var rank: UInt32
    var merged: Int32
  }

  /// Open addressing, at most half full; a slot is 16 bytes, so that a look-up touches one cache line.
  private var slots: [Merge]
  private(set) var count = 0

  private static let free = Merge(pair: .max, rank: 0, merged: 0)

  init(capacity: Int) {
    var size = 16
    while size < capacity * 2 { size *= 2 }
    slots = [Merge](repeating: Self.free, count: size)
  }

  /// Adds a merge; a later one for the same pair replaces the earlier one, as in the files' own library. At most `capacity`.
  mutating func insert(left: Int32, right: Int32, rank: UInt32, merged: Int32) {
    let pair = Self.pair(left, right)
    var slot = self.slot(of: pair)
    while slots[slot].pair != .max, slots[slot].pair != pair { slot = (slot + 1) & (slots.count - 1) }
    if slots[slot].pair == .max { count += 1 }
    slots[slot] = Merge(pair: pair, rank: rank, merged: merged)
  }

  /// The merge of two neighbours, or nil.
  func merge(_ left: Int32, _ right: Int32) -> Merge? {
    let pair = Self.pair(left, right)
    var slot = self.slot(of: pair)
    while true {
      let merge = slots[slot]
      if merge.pair == pair { return merge }
      if merge.pair == .max { return nil }
      slot = (slot + 1) & (slots.count - 1)
    }
  }

  /// All merges, the earliest first.
  var all: [(left: Int32, right: Int32, merged: Int32)] {
    slots.filter { $0.pair != .max }.sorted { $0.rank < $1.rank }.map {
      (Int32(truncatingIfNeeded: $0.pair >> 32), Int32(truncatingIfNeeded: $0.pair), $0.merged)
    }
  }

  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  private func slot(of pair: UInt64) -> Int {
    let hash = (pair ^ pair >> 29) &* 0x9E37_79B9_7F4A_7C15
    return Int(truncatingIfNeeded: hash >> 32) & (slots.count - 1)
  }
}
