// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftEngine
import WeftTensors

struct SamplerTests {
  /// Draws many times and returns how often each id came, as a share.
  private func shares(_ logits: [Float], _ options: SamplingOptions, recent: [Int32] = [], draws: Int = 20_000) -> [Double] {
    let sampler = Sampler(vocabularySize: logits.count)
    var random = RandomSource(seed: 7)
    var counts = [Int](repeating: 0, count: logits.count)
    for _ in 0..<draws {
      var copy = logits
      copy.withUnsafeMutableBufferPointer {
        counts[Int(sampler.sample($0, recent: recent[...], options, &random))] += 1
      }
    }
    return counts.map { Double($0) / Double(draws) }
  }

  /// Probabilities 0.5, 0.25, 0.125, 0.125 in scattered order.
  private static let logits: [Float] = [log2e(0.125), log2e(0.5), log2e(0.125), log2e(0.25)]
  private static func log2e(_ p: Double) -> Float { [0.5: -0.6931472, 0.25: -1.3862944, 0.125: -2.0794415][p]! }
  private static let open = SamplingOptions(temperature: 1, topK: 0, topP: 1, minP: 0)

  @Test func temperatureOneFollowsTheDistribution() {
    // 20,000 draws: three standard deviations are at most 0.0106.
    for (share, expected) in zip(shares(Self.logits, Self.open), [0.125, 0.5, 0.125, 0.25]) {
      #expect(abs(share - expected) < 0.011)
    }
  }

  @Test func temperatureSharpensAndZeroIsGreedy() {
    var options = Self.open
    options.temperature = 0.5  // squares the probabilities: 1/64, 1/4, 1/64, 1/16 over 22/64
    for (share, expected) in zip(shares(Self.logits, options), [1.0 / 22, 16.0 / 22, 1.0 / 22, 4.0 / 22]) {
      #expect(abs(share - expected) < 0.011)
    }
    #expect(shares(Self.logits, .greedy, draws: 10) == [0, 1, 0, 0])
  }

  @Test func filtersKeepWhatTheyPromise() {
    func kept(_ change: (inout SamplingOptions) -> Void) -> [Int] {
      var options = Self.open
      change(&options)
      return shares(Self.logits, options, draws: 3000).indices.filter { shares(Self.logits, options, draws: 3000)[$0] > 0 }
    }
    #expect(kept { $0.topK = 1 } == [1])
    #expect(kept { $0.topK = 2 } == [1, 3])
    #expect(kept { $0.topK = 3 } == [0, 1, 3], "of equal tokens the smaller id stays")
    #expect(kept { $0.topP = 0.4 } == [1])
    #expect(kept { $0.topP = 0.6 } == [1, 3])
    #expect(kept { $0.topP = 0.9 } == [0, 1, 2, 3])
    #expect(kept { $0.minP = 0.4 } == [1, 3])
    #expect(kept { $0.minP = 0.6 } == [1])
    // Top-p is a share of what top-k leaves: 0.5 of 0.75 is two thirds.
    #expect(
      kept {
        $0.topK = 2; $0.topP = 0.66
      } == [1])
    #expect(
      kept {
        $0.topK = 2; $0.topP = 0.67
      } == [1, 3])
  }

  @Test func repetitionPenaltyLowersRecentTokensOnce() {
    var options = SamplingOptions.greedy
    options.repetitionPenalty = 2
    #expect(shares([3, 4, 1], options, recent: [1, 1, 1], draws: 1) == [1, 0, 0], "4 / 2 = 2, once")
    #expect(shares([-3, -4, -2], options, recent: [2], draws: 1) == [1, 0, 0], "-2 * 2 = -4")
  }

  @Test func largeVocabularyWithAllFilters() {
    var random = RandomSource(seed: 3)
    let logits = (0..<5000).map { _ in random.unitFloat() * 8 }
    let best = logits.indices.sorted { logits[$0] > logits[$1] }
    let sampler = Sampler(vocabularySize: logits.count)
    let options = SamplingOptions(temperature: 0.7, topK: 40, topP: 0.9, minP: 0.01)
    for seed in 0..<200 {
      var source = RandomSource(seed: UInt64(seed))
      var copy = logits
      let token = copy.withUnsafeMutableBufferPointer { sampler.sample($0, recent: [], options, &source) }
      #expect(best.prefix(40).contains(Int(token)))
    }
  }
}
