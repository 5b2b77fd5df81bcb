// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftTensors

struct RandomSourceTests {
  /// The numbers that the reference implementation of SplitMix64 gives for this seed.
  @Test func theNumbersAreThoseOfSplitMix64() {
    var random = RandomSource(seed: 1_234_567)
    #expect(
      (0..<5).map { _ in random.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423, 4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
      ])
  }

  @Test func floatsAndIndicesAreInRangeAndEven() {
    var random = RandomSource(seed: 1)
    var counts = [Int](repeating: 0, count: 7)
    var sum: Float = 0
    for _ in 0..<7000 {
      let float = random.unitFloat()
      #expect(float >= 0 && float < 1)
      sum += float
      counts[random.index(below: 7)] += 1
    }
    #expect(abs(sum / 7000 - 0.5) < 0.02)
    #expect(counts.allSatisfy { (850...1150).contains($0) })
  }

  @Test func shufflingKeepsTheElements() {
    var random = RandomSource(seed: 2)
    let shuffled = random.shuffled(Array(0..<100))
    #expect(shuffled != Array(0..<100) && shuffled.sorted() == Array(0..<100))
    #expect(random.shuffled([Int]()) == [] && random.shuffled([3]) == [3])
  }
}
