// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import WeftTensors

/// Chooses tokens from logits. Its memory is reserved once; sampling allocates nothing.
///
/// Candidates lie in a heap, most likely first: only as many are put in order as the filters let through. Equal logits go by id.
package final class Sampler {
  private struct Candidate {
    var logit: Float
    var id: Int32
    static func precedes(_ one: Candidate, _ other: Candidate) -> Bool {
      one.logit > other.logit || (one.logit == other.logit && one.id < other.id)
    }
  }

  private let heap: UnsafeMutablePointer<Candidate>
  private let weights: UnsafeMutablePointer<Float>
  private let vocabularySize: Int

  package init(vocabularySize: Int) {
    self.vocabularySize = vocabularySize
    heap = .allocate(capacity: vocabularySize)
    weights = .allocate(capacity: vocabularySize)
  }

  deinit {
    heap.deallocate()
    weights.deallocate()
  }

  /// The next token. Changes `logits` of recent tokens when there is a repetition penalty.
  package func sample(
    _ logits: UnsafeMutableBufferPointer<Float>, recent: ArraySlice<Int32>, _ options: SamplingOptions,
    _ random: inout RandomSource
  ) -> Int32 {
    if options.repetitionPenalty != 1 { penalize(logits, recent, options.repetitionPenalty) }
    guard options.temperature > 0 else { return Sampler.mostLikely(logits) }
    for id in 0..<vocabularySize { heap[id] = Candidate(logit: logits[id], id: Int32(id)) }
    for root in stride(from: vocabularySize / 2 - 1, through: 0, by: -1) { sink(root, vocabularySize) }

    // Pop candidates into the free end of the heap until a filter is satisfied.
    let limit = options.topK == 0 ? vocabularySize : min(options.topK, vocabularySize)
    let best = heap[0].logit
    let total = options.topP < 1 ? totalWeight(limit, best, options.temperature) : 0
    var kept = 0
    var sum: Float = 0
    while kept < limit {
      let size = vocabularySize - kept
      let weight = exp((heap[0].logit - best) / options.temperature)
      if kept > 0 && weight < options.minP { break }
      let candidate = heap[0]
      heap[0] = heap[size - 1]
      heap[size - 1] = candidate
      sink(0, size - 1)
      weights[kept] = weight
      sum += weight
      kept += 1
      if options.topP < 1 && sum >= options.topP * total { break }
    }
    var remaining = random.unitFloat() * sum
    for index in 0..<kept {
      remaining -= weights[index]
      if remaining < 0 { return heap[vocabularySize - 1 - index].id }
    }
    return heap[vocabularySize - kept].id
  }

  /// The first of the largest logits, which are at least one.
  package static func mostLikely(_ logits: UnsafeMutableBufferPointer<Float>) -> Int32 {
    var best = 0
    for id in 1..<logits.count where logits[id] > logits[best] { best = id }
    return Int32(best)
  }

  private func penalize(_ logits: UnsafeMutableBufferPointer<Float>, _ recent: ArraySlice<Int32>, _ penalty: Float) {
    for (index, id) in zip(recent.indices, recent) where !recent[recent.startIndex..<index].contains(id) {
      let logit = logits[Int(id)]
      logits[Int(id)] = logit > 0 ? logit / penalty : logit * penalty
    }
  }

  /// The weight that top-p is a share of: of the candidates that top-k leaves.
  private func totalWeight(_ limit: Int, _ best: Float, _ temperature: Float) -> Float {
    guard limit < vocabularySize else {
      var sum: Float = 0
      for index in 0..<vocabularySize { sum += exp((heap[index].logit - best) / temperature) }
      return sum
    }
    // Pop `limit` candidates and push them back: the heap stays a heap.
    var sum: Float = 0
    for popped in 0..<limit {
      let size = vocabularySize - popped
      sum += exp((heap[0].logit - best) / temperature)
      let candidate = heap[0]
      heap[0] = heap[size - 1]
      heap[size - 1] = candidate
      sink(0, size - 1)
    }
    for size in vocabularySize - limit..<vocabularySize { rise(size) }
    return sum
  }

  private func sink(_ start: Int, _ size: Int) {
    var root = start
    let moving = heap[root]
    while true {
      var child = 2 * root + 1
      guard child < size else { break }
      if child + 1 < size && Candidate.precedes(heap[child + 1], heap[child]) { child += 1 }
      guard Candidate.precedes(heap[child], moving) else { break }
      heap[root] = heap[child]
      root = child
    }
    heap[root] = moving
  }

  private func rise(_ start: Int) {
    var place = start
    let moving = heap[place]
    while place > 0, Candidate.precedes(moving, heap[(place - 1) / 2]) {
      heap[place] = heap[(place - 1) / 2]
      place = (place - 1) / 2
    }
    heap[place] = moving
  }
}
