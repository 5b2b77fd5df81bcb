// SPDX-License-Identifier: Apache-2.0

/// Byte strings by id, and ids by byte string: every piece is stored once, and found by its bytes.
///
/// Bytes and not `String`, because Swift's strings compare by canonical equivalence: "é" and "e\u{301}" are equal there,
/// and two different pieces in a vocabulary.
struct PieceTable: Sendable {
  private var bytes: [UInt8] = []
  /// Piece `id` is `bytes[starts[id] ..< starts[id + 1]]`.
  private var starts: [Int] = [0]
  /// Open addressing, at most half full: the upper half of a hash, and an id below it.
  private var slots: [UInt64] = []
  private var occupied = 0
  private var longest = 0

  private static let empty = UInt64.max

  /// The number of ids; some may hold no bytes.
  var count: Int { starts.count - 1 }

  init(capacity: Int) {
    starts.reserveCapacity(capacity + 1)
    var size = 16
    while size < capacity * 2 { size *= 2 }
    slots = [UInt64](repeating: Self.empty, count: size)
  }

  /// Stores the next id. A piece that is not `findable` has bytes, and no look-up leads to it.
  /// Returns the id that already has these bytes, when one is findable by them; nil is success.
  mutating func append(_ piece: Span<UInt8>, findable: Bool) -> Int32? {
    let id = Int32(count)
    let start = bytes.count
    for index in piece.indices { bytes.append(piece[index]) }
    starts.append(bytes.count)
    longest = max(longest, piece.count)
    guard findable, !piece.isEmpty else { return nil }
    if (occupied + 1) * 2 > slots.count { grow() }
    let hash = Self.hash(piece)
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] != Self.empty {
      if slots[slot] >> 32 == hash >> 32 {
        let other = Int32(truncatingIfNeeded: slots[slot])
        let range = self.range(of: Int(other))
        if range.count == bytes.count - start, isEqual(range, piece) { return other }
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    slots[slot] = (hash & 0xFFFF_FFFF_0000_0000) | UInt64(UInt32(bitPattern: id))
    occupied += 1
    return nil
  }

  /// The id of a piece, or nil. Constant time in the size of the table.
  func id(of piece: Span<UInt8>) -> Int32? {
    guard !piece.isEmpty, piece.count <= longest else { return nil }
    let hash = Self.hash(piece)
    var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
    while slots[slot] != Self.empty {
      if slots[slot] >> 32 == hash >> 32 {
        let id = Int32(truncatingIfNeeded: slots[slot])
        if isEqual(range(of: Int(id)), piece) { return id }
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  /// The bytes of an id below `count`.
  subscript(id: Int32) -> ArraySlice<UInt8> { bytes[range(of: Int(id))] }

  private func range(of id: Int) -> Range<Int> { starts[id]..<starts[id + 1] }

  private func isEqual(_ range: Range<Int>, _ piece: Span<UInt8>) -> Bool {
    guard range.count == piece.count else { return false }
    for index in piece.indices where bytes[range.lowerBound + index] != piece[index] { return false }
    return true
  }

  private mutating func grow() {
    let old = slots
    slots = [UInt64](repeating: Self.empty, count: max(16, old.count * 2))
    for entry in old where entry != Self.empty {
      let piece = self[Int32(truncatingIfNeeded: entry)]
      var slot = Int(truncatingIfNeeded: Self.hash(piece.span)) & (slots.count - 1)
      while slots[slot] != Self.empty { slot = (slot + 1) & (slots.count - 1) }
      slots[slot] = entry
    }
  }

  /// Eight bytes at a time: multiply and fold. Pieces are short, so the set-up has to cost nothing.
  private static func hash(_ piece: Span<UInt8>) -> UInt64 {
    var hash = UInt64(piece.count) &* 0x9E37_79B9_7F4A_7C15
    var index = 0
    while index < piece.count {
      var word: UInt64 = 0
      let end = min(index + 8, piece.count)
      while index < end {
        word = word << 8 | UInt64(piece[index])
        index += 1
      }
      hash = (hash ^ word) &* 0xD6E8_FEB8_6659_FD93
      hash ^= hash >> 32
    }
    hash = hash &* 0xD6E8_FEB8_6659_FD93
    return hash ^ hash >> 29
  }
}
