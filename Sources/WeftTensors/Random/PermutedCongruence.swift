// SPDX-License-Identifier: Apache-2.0

/// The generator PCG XSL RR 128/64 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for
/// Random Number Generation", Harvey Mudd College, 2014): numpy's `PCG64`. Not for secrets.
struct PermutedCongruence: Sendable {
  private static let multiplier: UInt128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645
  private var state: UInt128 = 0
  private let increment: UInt128

  init(state start: UInt128, sequence: UInt128) {
    increment = sequence << 1 | 1
    advance()
    state &+= start
    advance()
  }

  /// The next 64 random bits.
  mutating func next() -> UInt64 {
    advance()
    let folded = UInt64(truncatingIfNeeded: state >> 64) ^ UInt64(truncatingIfNeeded: state)
    let turn = UInt64(truncatingIfNeeded: state >> 122)
    return folded >> turn | folded << ((64 &- turn) & 63)
  }

  private mutating func advance() { state = state &* PermutedCongruence.multiplier &+ increment }
}
