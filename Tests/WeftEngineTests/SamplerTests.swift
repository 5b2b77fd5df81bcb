// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine
import WeftTensors

/// What is drawn, and how often. `SamplerGoldenTests` compares the filters with those of other programs.
struct SamplerTests {
  /// Draws many times and returns how often each id came, as a share.
  private func shares(
    _ logits: [Float], _ options: SamplingOptions, history: [Int32] = [], draws: Int = 20_000
  ) throws -> [Double] {
    let sampler = Sampler(vocabularySize: logits.count, maximumHistory: 64, kernels: Kernels(isa: .scalar))
    var state = SamplingState(options, seed: 7)
    var counts = [Int](repeating: 0, count: logits.count)
    for _ in 0..<draws {
      var copy = logits
      let token = try copy.withUnsafeMutableBufferPointer {
        try sampler.sample($0, history: history, options, &state)
      }
      counts[Int(try #require(token))] += 1
    }
    return counts.map { Double($0) / Double(draws) }
  }

  /// Probabilities 0.5, 0.25, 0.125, 0.125 in scattered order.
  private static let logits: [Float] = [-2.0794415, -0.6931472, -2.0794415, -1.3862944]
  private static let open = SamplingOptions(temperature: 1, topK: 0, topP: 1, minP: 0)

  @Test func temperatureOneFollowsTheDistribution() throws {
    // 20,000 draws: three standard deviations are at most 0.0106.
    for (share, expected) in zip(try shares(Self.logits, Self.open), [0.125, 0.5, 0.125, 0.25]) {
      #expect(abs(share - expected) < 0.011)
    }
  }

  @Test func temperatureSharpensAndZeroIsGreedy() throws {
    var options = Self.open
    options.temperature = 0.5  // squares the probabilities: 1/64, 1/4, 1/64, 1/16 over 22/64
    for (share, expected) in zip(try shares(Self.logits, options), [1.0 / 22, 16.0 / 22, 1.0 / 22, 4.0 / 22]) {
      #expect(abs(share - expected) < 0.011)
    }
    #expect(try shares(Self.logits, .greedy, draws: 10) == [0, 1, 0, 0])
  }

  /// Of a large vocabulary only some blocks are looked at: what is kept is what sorting all would keep, of equal tokens the first.
  @Test(arguments: [1, 2, 5, 40, 77]) func theMostLikelyOfMany(topK: Int) throws {
    var options = Self.open
    options.topK = topK
    var generator = SeededGenerator(seed: UInt64(topK))
    for (count, step): (Int, Float) in [(5003, 0), (20_000, 0.25), (20_032, 2), (8192, 100)] {
      var logits = generator.floats(count, in: -8...8)
      // Equal ones, tokens that are forbidden, and the best ones beside each other.
      if step > 0 { for id in logits.indices { logits[id] = (logits[id] / step).rounded() * step } }
      for id in stride(from: 0, to: count, by: 7) { logits[id] = -.infinity }
      for id in 641..<660 { logits[id] += 5 }
      let sampler = Sampler(vocabularySize: count, maximumHistory: 8, kernels: try Kernels.best())
      var state = SamplingState(options, seed: 7)
      let found = logits.withUnsafeMutableBufferPointer { sampler.distribution($0, history: [], options, &state) }
      let sorted = logits.indices.filter { logits[$0] > -.infinity }.sorted { (logits[$0], $1) > (logits[$1], $0) }
      #expect(found.keys.sorted() == sorted.prefix(topK).map(Int32.init).sorted(), "\(count) tokens, steps of \(step)")
    }
  }

  @Test func filtersKeepWhatTheyPromise() throws {
    func kept(_ change: (inout SamplingOptions) -> Void) throws -> [Int] {
      var options = Self.open
      change(&options)
      let shares = try shares(Self.logits, options, draws: 3000)
      return shares.indices.filter { shares[$0] > 0 }
    }
    #expect(try kept { $0.topK = 1 } == [1])
    #expect(try kept { $0.topK = 2 } == [1, 3])
    #expect(try kept { $0.topK = 3 } == [0, 1, 3], "of equal tokens the smaller id stays")
    #expect(try kept { $0.topP = 0.4 } == [1])
    #expect(try kept { $0.topP = 0.6 } == [1, 3])
    #expect(try kept { $0.topP = 0.9 } == [0, 1, 2, 3])
    #expect(try kept { $0.minP = 0.4 } == [1, 3])
    #expect(try kept { $0.minP = 0.6 } == [1])
    #expect(try kept { $0.logitBias = [1: -.infinity] } == [0, 2, 3])
    #expect(try kept { $0.xtc = XTCOptions(probability: 1, threshold: 0.2) } == [0, 2, 3])
    #expect(try kept { $0.xtc = XTCOptions(probability: 1, threshold: 0.3) } == [0, 1, 2, 3], "one token alone is not dropped")
    #expect(try kept { $0.xtc = XTCOptions(probability: 0, threshold: 0.2) } == [0, 1, 2, 3])
    // Top-p is a share of what top-k leaves: 0.5 of 0.75 is two thirds.
    #expect(
      try kept {
        $0.topK = 2; $0.topP = 0.66
      } == [1])
    #expect(
      try kept {
        $0.topK = 2; $0.topP = 0.67
      } == [1, 3])
    // The cuts see probabilities before the temperature.
    #expect(
      try kept {
        $0.topP = 0.6; $0.temperature = 4
      } == [1, 3])
  }

  @Test func excludingTopChoicesHappensByChance() throws {
    var options = Self.open
    options.xtc = XTCOptions(probability: 0.25, threshold: 0.2)
    // Without its top choice 0, 1/2, 1/4, 1/4 and with it 1/2, 1/4, 1/8, 1/8.
    let expected = [0.75 * 0.125 + 0.25 * 0.25, 0.75 * 0.5, 0.75 * 0.125 + 0.25 * 0.25, 0.75 * 0.25 + 0.25 * 0.5]
    for (share, expected) in zip(try shares(Self.logits, options), expected) { #expect(abs(share - expected) < 0.011) }
    options.xtc = XTCOptions(probability: 1, threshold: 0.2)
    options.temperature = 0
    #expect(try shares(Self.logits, options, draws: 10) == [0, 0, 0, 1], "the most likely token of what is left")
  }

  /// The mean surprise is the target minus what the threshold moved by, over rate and steps: the threshold has to settle.
  @Test func mirostatHoldsTheSurprise() throws {
    var random = RandomSource(seed: 3)
    let logits = (0..<1000).map { _ in random.unitFloat() * 12 }
    for target in [Float(2), 4, 6] {
      var options = Self.open
      options.mirostat = MirostatOptions(targetSurprise: target, learningRate: 0.1)
      let sampler = Sampler(vocabularySize: logits.count, maximumHistory: 8, kernels: Kernels(isa: .scalar))
      var state = SamplingState(options, seed: 11)
      func draw(_ count: Int) throws {
        for _ in 0..<count {
          var copy = logits
          _ = try copy.withUnsafeMutableBufferPointer { try sampler.sample($0, history: [], options, &state) }
        }
      }
      try draw(200)
      let settled = state.surpriseLimit
      try draw(1000)
      #expect(abs(state.surpriseLimit - settled) / (0.1 * 1000) < 0.05, "\(target): \(settled) \(state.surpriseLimit)")
      #expect(state.surpriseLimit != settled)
    }
  }

  @Test func repetitionPenaltyLowersRecentTokensOnce() throws {
    var options = SamplingOptions.greedy
    options.repetitionPenalty = 2
    #expect(try shares([3, 4, 1], options, history: [1, 1, 1], draws: 1) == [1, 0, 0], "4 / 2 = 2, once")
    #expect(try shares([-3, -4, -2], options, history: [2], draws: 1) == [1, 0, 0], "-2 * 2 = -4")
    options.repetitionWindow = 1
    #expect(try shares([3, 4, 1], options, history: [1, 2], draws: 1) == [0, 1, 0], "too long ago")
  }

  @Test func everyTokenBannedLeavesNone() throws {
    var options = Self.open
    options.logitBias = [0: -.infinity, 1: -.infinity]
    let sampler = Sampler(vocabularySize: 2, maximumHistory: 8, kernels: Kernels(isa: .scalar))
    for temperature in [Float(0), 1] {
      options.temperature = temperature
      var state = SamplingState(options, seed: 1)
      var logits: [Float] = [1, 2]
      #expect(try logits.withUnsafeMutableBufferPointer { try sampler.sample($0, history: [], options, &state) } == nil)
    }
  }

  @Test func largeVocabularyWithAllFilters() throws {
    var random = RandomSource(seed: 3)
    let logits = (0..<5000).map { _ in random.unitFloat() * 8 }
    let best = logits.indices.sorted { logits[$0] > logits[$1] }
    let sampler = Sampler(vocabularySize: logits.count, maximumHistory: 8, kernels: Kernels(isa: .scalar))
    let options = SamplingOptions(temperature: 0.7, topK: 40, topP: 0.9, minP: 0.01)
    for seed in 0..<200 {
      var state = SamplingState(options, seed: UInt64(seed))
      var copy = logits
      let token = try copy.withUnsafeMutableBufferPointer { try sampler.sample($0, history: [], options, &state) }
      #expect(best.prefix(40).contains(Int(try #require(token))))
    }
  }

  @Test func logProbabilitiesAreTheModels() throws {
    let sampler = Sampler(vocabularySize: 4, maximumHistory: 8, kernels: Kernels(isa: .scalar))
    var options = SamplingOptions.greedy
    options.logitBias = [1: -5]
    var state = SamplingState(options, seed: 1)
    var logits = Self.logits
    let token = try logits.withUnsafeMutableBufferPointer {
      sampler.remember($0)
      return try sampler.sample($0, history: [], options, &state)
    }
    #expect(token == 3)
    let found = sampler.logProbabilities(of: 3, top: 3)
    #expect(found.chosen.id == 3 && found.top.map(\.id) == [1, 3, 0])
    // The logits are logarithms of probabilities, rounded.
    for (one, expected) in zip(found.top + [found.chosen], [-0.6931472, -1.3862944, -2.0794415, -1.3862944] as [Float]) {
      #expect(abs(one.logProbability - expected) < 1e-6)
    }
    #expect(sampler.logProbabilities(of: 0, top: 9).top.count == 4)
    #expect(sampler.logProbabilities(of: 0, top: 0).top.isEmpty)
  }
}
