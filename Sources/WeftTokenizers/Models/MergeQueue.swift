// SPDX-License-Identifier: Apache-2.0

/// The candidates of one word, best first: a binary heap whose storage is kept from word to word.
struct MergeQueue {
  /// Two neighbours that could become one.
  struct Candidate {
    /// Priority in the upper half (less is earlier), position of the left symbol in the lower one: ties go to the left.
    var key: UInt64
    var merged: Int32
    /// Bytes of both symbols when this was found: if they differ now, the candidate is outdated.
    var byteCount: UInt32
  }

  private var heap: [Candidate] = []

  /// Empties the queue and keeps its memory.
  mutating func removeAll() { heap.removeAll(keepingCapacity: true) }

  /// Adds without ordering: `order()` follows before the first `popFirst()`.
  mutating func appendUnordered(_ candidate: Candidate) { heap.append(candidate) }

  /// Makes a heap of everything that was appended, in linear time.
  mutating func order() {
    guard heap.count > 1 else { return }
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(index) }
  }

  mutating func insert(_ candidate: Candidate) {
    heap.append(candidate)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard candidate.key < heap[parent].key else { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = candidate
  }

  mutating func popFirst() -> Candidate? {
    guard let last = heap.popLast() else { return nil }
    guard let first = heap.first else { return last }
    heap[0] = last
    sink(0)
    return first
  }

  private mutating func sink(_ start: Int) {
    let candidate = heap[start]
    var parent = start
    while true {
      var child = 2 * parent + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count, heap[child + 1].key < heap[child].key { child += 1 }
      guard heap[child].key < candidate.key else { break }
      heap[parent] = heap[child]
      parent = child
    }
    heap[parent] = candidate
  }
}
