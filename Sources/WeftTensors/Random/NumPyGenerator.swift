// SPDX-License-Identifier: Apache-2.0

/// The random stream of numpy's `default_rng(seed)`, for adapters that store a seed in place of a choice.
///
/// Every method draws what its namesake in numpy draws and leaves the stream where numpy leaves it. The tests hold it to values
/// that numpy 2.4 gave.
package struct NumPyGenerator: Sendable {
  private var engine: PermutedCongruence
  /// The high half of a word whose low half was drawn.
  private var pendingHalf: UInt32?

  /// As `default_rng(seed)` does.
  package init(seed: UInt64) {
    let words = SeedSequence(seed: seed).words(4)
    engine = PermutedCongruence(
      state: UInt128(words[0]) << 64 | UInt128(words[1]), sequence: UInt128(words[2]) << 64 | UInt128(words[3]))
  }

  /// The next 64 random bits.
  package mutating func next() -> UInt64 { engine.next() }

  /// The next 32 random bits: both halves of a word in turn, the low one first.
  package mutating func nextHalf() -> UInt32 {
    if let half = pendingHalf {
      pendingHalf = nil
      return half
    }
    let word = next()
    pendingHalf = UInt32(word >> 32)
    return UInt32(truncatingIfNeeded: word)
  }

  /// A number in 0...last, each as likely as any other (Lemire, "Fast Random Integer Generation in an Interval", ACM TOMACS 29,
  /// 2019): half a word while `last` fits in one, nothing for 0.
  package mutating func integer(through last: UInt64) -> UInt64 {
    if last == 0 { return 0 }
    guard let short = UInt32(exactly: last) else { return wideInteger(through: last) }
    guard short < UInt32.max else { return UInt64(nextHalf()) }
    let count = short + 1
    var product = nextHalf().multipliedFullWidth(by: count)
    let least = (UInt32.max - short) % count
    while product.low < least { product = nextHalf().multipliedFullWidth(by: count) }
    return UInt64(product.high)
  }

  private mutating func wideInteger(through last: UInt64) -> UInt64 {
    guard last < UInt64.max else { return next() }
    let count = last + 1
    var product = next().multipliedFullWidth(by: count)
    let least = (UInt64.max - last) % count
    while product.low < least { product = next().multipliedFullWidth(by: count) }
    return product.high
  }

  /// As `shuffle` does with an array. numpy finds its places by drawing bits until they are small enough.
  package mutating func shuffle(_ numbers: inout [Int]) {
    for place in numbers.indices.dropFirst().reversed() {
      let mask = UInt64.max >> place.leadingZeroBitCount
      var other: UInt64
      repeat { other = (place <= Int(UInt32.max) ? UInt64(nextHalf()) : next()) & mask } while other > UInt64(place)
      numbers.swapAt(place, Int(other))
    }
  }

  /// As `choice(count, size: picked, replace: false)` does: different numbers of 0..<count in random order.
  package mutating func choice(of count: Int, picking picked: Int) -> [Int] {
    precondition(picked >= 0 && picked <= count)
    // Where much of a large range is picked, numpy shuffles the end of all of it.
    if count > 10_000 && picked > count / 50 {
      var numbers = Array(0..<count)
      permute(&numbers, downTo: max(count - picked, 1))
      return Array(numbers.suffix(picked))
    }
    // Floyd's method (Bentley and Floyd, "A Sample of Brilliance", CACM 30, 1987).
    var chosen: Set<Int> = []
    var numbers: [Int] = []
    for last in count - picked..<count {
      let number = Int(integer(through: UInt64(last)))
      if chosen.insert(number).inserted {
        numbers.append(number)
      } else {
        chosen.insert(last)
        numbers.append(last)
      }
    }
    permute(&numbers, downTo: 1)
    return numbers
  }

  /// Fisher and Yates from the end; places below `first` are only swapped with.
  private mutating func permute(_ numbers: inout [Int], downTo first: Int) {
    for place in stride(from: numbers.count - 1, through: first, by: -1) {
      numbers.swapAt(place, Int(integer(through: UInt64(place))))
    }
  }
}
