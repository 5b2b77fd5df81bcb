// SPDX-License-Identifier: Apache-2.0

/// Pseudo-random numbers that depend on the seed alone, on every machine and with every version of Swift.
///
/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Not for secrets.
package struct RandomSource: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  /// The next 64 random bits.
  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var word = state
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
  }

  /// A float in 0..<1, a multiple of 2^-24.
  package mutating func unitFloat() -> Float { Float(next() >> 40) * 0x1p-24 }

  /// An index in 0..<count; `count` is positive. The bias is below count / 2^64.
  package mutating func index(below count: Int) -> Int {
    precondition(count > 0)
    return Int(next().multipliedFullWidth(by: UInt64(count)).high)
  }

  /// `elements` in random order (Fisher and Yates).
  package mutating func shuffled<Element>(_ elements: [Element]) -> [Element] {
    var elements = elements
    for end in elements.indices.dropFirst().reversed() { elements.swapAt(end, index(below: end + 1)) }
    return elements
  }
}
