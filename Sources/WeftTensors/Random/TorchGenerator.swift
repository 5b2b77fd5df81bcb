// SPDX-License-Identifier: Apache-2.0

/// The random stream of torch's CPU generator, for adapters that store a seed in place of a projection.
///
/// Every method draws what its namesake in torch draws and leaves the stream where torch leaves it, unless it says otherwise.
/// Source: peft-reference.md, 1.8; the tests hold it to values that torch 2.13 gave.
package struct TorchGenerator: Sendable {
  private var engine: MersenneTwister
  /// The second number of a Box-Muller pair, for the next draw of `normal` with fewer than 16 numbers.
  var pendingNormal: Double?

  /// As `manual_seed` does, with the low 32 bits of the seed.
  package init(seed: Int) { engine = MersenneTwister(seed: UInt32(truncatingIfNeeded: seed)) }

  /// The next 32 random bits.
  package mutating func next() -> UInt32 { engine.next() }

  /// The next 64 random bits: two draws, the high word first.
  package mutating func nextWide() -> UInt64 {
    let high = next()
    return UInt64(high) << 32 | UInt64(next())
  }

  /// The first `first` numbers of `randperm(count)`, a permutation of 0..<count, in memory for `first` numbers.
  ///
  /// Below `TorchGenerator.wideCount` numbers only what is needed is drawn: with `first` < `count` - 1 the stream is left
  /// earlier than torch leaves it. From there on every permutation costs 2 * `count` draws, some ten nanoseconds for each number.
  package mutating func permutation(of count: Int, first: Int) -> [Int] {
    precondition(first >= 0 && first <= count)
    return count < TorchGenerator.wideCount
      ? narrowPermutation(of: count, first: first) : widePermutation(of: count, first: first)
  }

  /// From this many numbers on, torch permutes in another way, and draws two words for each.
  package static let wideCount = Int(UInt32.max) / 20

  /// Fisher and Yates from the front: what stands in the first places does not change later.
  private mutating func narrowPermutation(of count: Int, first: Int) -> [Int] {
    // The numbers that were swapped out of their own places, by where they are.
    var moved: [Int: Int] = [:]
    var numbers: [Int] = []
    numbers.reserveCapacity(first)
    for place in 0..<first {
      // The last number has no choice, and torch draws none for it.
      let other = place < count - 1 ? place + Int(next()) % (count - place) : place
      numbers.append(moved[other] ?? other)
      moved[other] = moved[place] ?? place
      moved[place] = nil
    }
    return numbers
  }

  /// Fisher and Yates from the inside out: number i goes to a place up to i, and what stood there goes to place i.
  private mutating func widePermutation(of count: Int, first: Int) -> [Int] {
    var numbers = Array(0..<first)
    for number in 0..<count {
      let place = Int(nextWide() % UInt64(number + 1))
      guard place < first else { continue }
      if number < first { numbers[number] = numbers[place] }
      numbers[place] = number
    }
    return numbers
  }
}
