// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

/// The tokens that may come next, while filters make them fewer. Its memory is reserved once.
///
/// Filters read a heap, whose root has the largest key (equal keys go by id), and leave what they keep in `kept`: only as many
/// candidates are put in order as a filter lets through.
final class CandidateList {
  struct Candidate {
    var key: Float
    var id: Int32
    static func precedes(_ one: Candidate, _ other: Candidate) -> Bool {
      one.key > other.key || (one.key == other.key && one.id < other.id)
    }
  }

  /// What the last filter kept. `key` is the logit.
  let kept: UnsafeMutablePointer<Candidate>
  private(set) var keptCount = 0
  /// Of each kept candidate, exp(logit - best): a probability without its common factor.
  let weights: UnsafeMutablePointer<Float>
  private let heap: UnsafeMutablePointer<Candidate>
  private var heapCount = 0
  /// The largest logit of every block of the vocabulary.
  private let maxima: UnsafeMutablePointer<Float>
  private let vocabularySize: Int
  private let kernels: Kernels

  init(vocabularySize: Int, kernels: Kernels) {
    self.vocabularySize = vocabularySize
    self.kernels = kernels
    maxima = .allocate(capacity: CandidateList.blockCount(vocabularySize))
    kept = .allocate(capacity: vocabularySize)
    weights = .allocate(capacity: vocabularySize)
    heap = .allocate(capacity: vocabularySize)
  }

  deinit {
    kept.deallocate()
    weights.deallocate()
    heap.deallocate()
    maxima.deallocate()
  }

  static func blockCount(_ vocabularySize: Int) -> Int {
    (vocabularySize + Kernels.maximaBlock - 1) / Kernels.maximaBlock
  }

  /// Keeps all tokens whose logit is above -infinity, or those of them that have a bit in `mask`; in the order of their ids, unless
  /// there are more than `top`: then the `top` most likely ones. 0 for no limit.
  func load(_ logits: UnsafeMutableBufferPointer<Float>, mask: UnsafePointer<UInt64>?, top: Int) {
    keptCount = 0
    if mask == nil && top > 0 && top < CandidateList.blockCount(vocabularySize) / 8 {
      loadLikelyBlocks(of: logits, top)
    } else {
      for id in 0..<vocabularySize where logits[id] > -.infinity {
        if let mask, mask[id / 64] >> UInt64(id % 64) & 1 == 0 { continue }
        keep(Candidate(key: logits[id], id: Int32(id)))
      }
    }
    if top > 0 && top < keptCount { keepOrdered(top) }
  }

  /// All tokens that can be among the `count` most likely ones: those that are as likely as the likeliest ones of `count` blocks of the
  /// vocabulary.
  private func loadLikelyBlocks(of logits: UnsafeMutableBufferPointer<Float>, _ count: Int) {
    guard let values = logits.baseAddress else { return }
    kernels.blockMaxima(maxima, values, count: vocabularySize)
    let blockCount = CandidateList.blockCount(vocabularySize)
    for block in 0..<blockCount { keep(Candidate(key: maxima[block], id: Int32(block))) }
    preselect(count)
    let least = kept[0].key
    keptCount = 0
    for block in 0..<blockCount where maxima[block] >= least && maxima[block] > -.infinity {
      let begin = block * Kernels.maximaBlock
      for id in begin..<min(begin + Kernels.maximaBlock, vocabularySize) where logits[id] >= least && logits[id] > -.infinity {
        keep(Candidate(key: logits[id], id: Int32(id)))
      }
    }
  }

  /// Keeps the `count` most likely ones, in order, or all when there are fewer.
  func keepOrdered(_ count: Int) {
    // Few of many: most candidates lose one comparison with the last of the best so far.
    if count > 0 && count < keptCount / 8 { preselect(count) }
    heapify { kept[$0].key }
    keptCount = 0
    while keptCount < count && heapCount > 0 { keep(pop()) }
  }

  /// Keeps the likeliest ones that together have at least `share` of the probability, in order.
  func keepShare(_ share: Float) {
    let limit = Double(share) * weigh()
    heapify { kept[$0].key }
    let best = heap[0].key
    var sum = 0.0
    keptCount = 0
    while heapCount > 0 {
      let candidate = pop()
      keep(candidate)
      sum += Double(exp(candidate.key - best))
      if sum >= limit { break }
    }
  }

  /// Keeps those whose surprise is closest to the expected one, until they have more than `share` of the probability.
  func keepTypical(_ share: Float, logits: UnsafeMutableBufferPointer<Float>) {
    let total = weigh()
    var entropy = 0.0
    for index in 0..<keptCount where weights[index] > 0 {
      let probability = Double(weights[index]) / total
      entropy -= probability * log(probability)
    }
    let best = bestLogit
    let logTotal = log(total)
    // The surprise of a token is logTotal - (logit - best).
    heapify { Float(-abs(logTotal - Double(kept[$0].key - best) - entropy)) }
    var sum = 0.0
    keptCount = 0
    while heapCount > 0 {
      let id = pop().id
      keep(Candidate(key: logits[Int(id)], id: id))
      sum += Double(exp(logits[Int(id)] - best))
      if sum > Double(share) * total { break }
    }
  }

  /// Keeps those that are at least `share` times as likely as the likeliest one.
  func keepNearBest(_ share: Float) {
    let best = bestLogit
    keepAll { exp($0.key - best) >= share }
  }

  /// Of those that have at least this probability, keeps only the least likely one.
  func dropTop(from threshold: Float) {
    let limit = Double(threshold) * weigh()
    var last: Candidate?
    for index in 0..<keptCount where Double(weights[index]) >= limit {
      if let found = last, Candidate.precedes(kept[index], found) { continue }
      last = kept[index]
    }
    if let last { keepAll { !Candidate.precedes($0, last) } }
  }

  /// Keeps those whose surprise is at most so many bits, and at least the likeliest one.
  func keepUnsurprising(_ bits: Float) {
    let total = weigh()
    let best = bestLogit
    let limit = log(total) - Double(bits) * log(2.0)
    keepAll { $0.key == best || Double($0.key - best) >= limit }
  }

  /// Divides the logits.
  func divide(by temperature: Float) {
    for index in 0..<keptCount { kept[index].key /= temperature }
  }

  /// Computes the weights of what is kept, and returns their sum.
  func weigh() -> Double {
    let best = bestLogit
    var sum = 0.0
    for index in 0..<keptCount {
      weights[index] = exp(kept[index].key - best)
      sum += Double(weights[index])
    }
    return sum
  }

  /// The place of the likeliest kept one; of equal ones the smallest id. Something is kept.
  var bestIndex: Int {
    var best = 0
    for index in 1..<max(keptCount, 1) where Candidate.precedes(kept[index], kept[best]) { best = index }
    return best
  }

  private var bestLogit: Float { keptCount > 0 ? kept[bestIndex].key : 0 }

  private func keep(_ candidate: Candidate) {
    kept[keptCount] = candidate
    keptCount += 1
  }

  private func keepAll(_ isKept: (Candidate) -> Bool) {
    let count = keptCount
    keptCount = 0
    for index in 0..<count where isKept(kept[index]) { keep(kept[index]) }
  }

  /// Keeps the `count` most likely ones in any order, by a heap whose root is the least likely of those so far.
  private func preselect(_ count: Int) {
    for root in stride(from: count / 2 - 1, through: 0, by: -1) {
      CandidateList.sink(root, in: kept, count) { Candidate.precedes($1, $0) }
    }
    for index in count..<keptCount where Candidate.precedes(kept[index], kept[0]) {
      kept[0] = kept[index]
      CandidateList.sink(0, in: kept, count) { Candidate.precedes($1, $0) }
    }
    keptCount = count
  }

  // MARK: - The heap

  /// Makes a heap of what is kept, by this key of a place.
  private func heapify(_ key: (Int) -> Float) {
    heapCount = keptCount
    for index in 0..<heapCount { heap[index] = Candidate(key: key(index), id: kept[index].id) }
    for root in stride(from: heapCount / 2 - 1, through: 0, by: -1) { sink(root) }
  }

  /// Takes the root. The heap is not empty.
  private func pop() -> Candidate {
    let root = heap[0]
    heapCount -= 1
    heap[0] = heap[heapCount]
    sink(0)
    return root
  }

  private func sink(_ root: Int) { CandidateList.sink(root, in: heap, heapCount, Candidate.precedes) }

  /// Moves a candidate down until none below it precedes it.
  @inline(__always)
  private static func sink(
    _ start: Int, in heap: UnsafeMutablePointer<Candidate>, _ count: Int, _ precedes: (Candidate, Candidate) -> Bool
  ) {
    var root = start
    let moving = heap[root]
    while true {
      var child = 2 * root + 1
      guard child < count else { break }
      if child + 1 < count && precedes(heap[child + 1], heap[child]) { child += 1 }
      guard precedes(heap[child], moving) else { break }
      heap[root] = heap[child]
      root = child
    }
    heap[root] = moving
  }
}
