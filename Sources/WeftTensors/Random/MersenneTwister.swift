// SPDX-License-Identifier: Apache-2.0

/// The 32-bit Mersenne Twister MT19937 (Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8, 1998), with the
/// initialisation of 2002. Not for secrets.
struct MersenneTwister: Sendable {
  private static let size = 624
  private static let middle = 397
  private var state: [UInt32]
  /// How many words of `state` were handed out.
  private var used = MersenneTwister.size

  init(seed: UInt32) {
    state = [UInt32](repeating: seed, count: MersenneTwister.size)
    for i in 1..<MersenneTwister.size {
      let last = state[i - 1]
      state[i] = 1_812_433_253 &* (last ^ (last >> 30)) &+ UInt32(i)
    }
  }

  /// The next 32 random bits.
  mutating func next() -> UInt32 {
    if used == MersenneTwister.size { renew() }
    var word = state[used]
    used += 1
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C_5680
    word ^= (word << 15) & 0xEFC6_0000
    return word ^ (word >> 18)
  }

  /// The recurrence, once around.
  private mutating func renew() {
    let size = MersenneTwister.size
    for i in 0..<size {
      let joined = (state[i] & 0x8000_0000) | (state[(i + 1) % size] & 0x7FFF_FFFF)
      let twist: UInt32 = joined & 1 == 0 ? 0 : 0x9908_B0DF
      state[i] = state[(i + MersenneTwister.middle) % size] ^ (joined >> 1) ^ twist
    }
    used = 0
  }
}
