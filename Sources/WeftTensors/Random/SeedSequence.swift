// SPDX-License-Identifier: Apache-2.0

/// How numpy's `SeedSequence` makes the state of a generator from a seed: four words into which the words of the seed are hashed
/// (after O'Neill, "Developing a seed_seq Alternative", 2015), hashed again for every word that is given out.
struct SeedSequence {
  private var pool: [UInt32] = []

  init(seed: UInt64) {
    var hash = Hash(constant: 0x43B0_D7E5, multiplier: 0x931E_8875)
    let words = [UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32), 0, 0]
    pool = words.map { hash.value(of: $0) }
    for source in pool.indices {
      for target in pool.indices where target != source {
        pool[target] = SeedSequence.mixed(pool[target], hash.value(of: pool[source]))
      }
    }
  }

  /// As `generate_state(count, uint64)` does.
  func words(_ count: Int) -> [UInt64] {
    var hash = Hash(constant: 0x8B51_F9DD, multiplier: 0x58F3_8DED)
    let halves = (0..<2 * count).map { hash.value(of: pool[$0 % pool.count]) }
    return (0..<count).map { UInt64(halves[2 * $0 + 1]) << 32 | UInt64(halves[2 * $0]) }
  }

  /// A hash whose constant changes with every use.
  private struct Hash {
    var constant: UInt32
    let multiplier: UInt32

    mutating func value(of word: UInt32) -> UInt32 {
      let mixed = word ^ constant
      constant &*= multiplier
      let product = mixed &* constant
      return product ^ (product >> 16)
    }
  }

  private static func mixed(_ x: UInt32, _ y: UInt32) -> UInt32 {
    let word = 0xCA01_F9DD &* x &- 0x4973_F715 &* y
    return word ^ (word >> 16)
  }
}
