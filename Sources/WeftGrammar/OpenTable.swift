// SPDX-License-Identifier: Apache-2.0

/// Numbers by hash, with linear probing, in memory that is reserved once. The owner compares what the numbers stand for.
final class OpenTable {
  private struct Slot {
    var hash: Int
    /// -1: free.
    var number: Int32
  }

  private let slots: UnsafeMutablePointer<Slot>
  private let mask: Int

  /// `capacity` is a power of two.
  init(capacity: Int) {
    mask = 2 * capacity - 1
    slots = .allocate(capacity: 2 * capacity)
    slots.initialize(repeating: Slot(hash: 0, number: -1), count: 2 * capacity)
  }

  deinit { slots.deallocate() }

  /// The number with this hash that `isEqual` recognises.
  func find(_ hash: Int, where isEqual: (Int32) -> Bool) -> Int32? {
    var place = hash & mask
    while slots[place].number >= 0 {
      if slots[place].hash == hash && isEqual(slots[place].number) { return slots[place].number }
      place = (place + 1) & mask
    }
    return nil
  }

  /// Adds a number that is not there; at most `capacity` of them.
  func insert(_ hash: Int, _ number: Int32) {
    var place = hash & mask
    while slots[place].number >= 0 { place = (place + 1) & mask }
    slots[place] = Slot(hash: hash, number: number)
  }

  func removeAll() { slots.update(repeating: Slot(hash: 0, number: -1), count: mask + 1) }
}
