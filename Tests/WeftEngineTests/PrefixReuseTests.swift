// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// Prompts that begin alike: the second one takes over keys and values, and nothing that can be seen changes.
struct PrefixReuseTests {
  private static let common = (0..<70).map { Int32($0 * 7 % 60 + 1) }

  private func engine(reuses: Bool = true, sequences: Int = 3, rows: Int = 64, context: Int = 128) throws -> Engine {
    let engine = try Engine(
      model: GenerationTests.model,
      options: EngineOptions(
        threads: 1, contextLength: context, maximumSequences: sequences, maximumStepRows: rows, kvType: .f32,
        reusesPrefixes: reuses))
    try engine.loadAdapter("plain", from: GenerationTests.adapter("plain"))
    try engine.loadAdapter("all", from: GenerationTests.adapter("all"))
    return engine
  }

  /// Log-probabilities show every bit of the logits that differs.
  private func request(_ prompt: [Int32], _ activation: Activation = .base, count: Int = 12) -> GenerationRequest {
    GenerationRequest(
      .tokens(prompt), activation: activation, sampling: .greedy, logProbabilities: 3, maximumTokens: count,
      ignoresEndTokens: true)
  }

  private func expectSame(_ one: GenerationResult, _ other: GenerationResult) {
    #expect(one.tokens == other.tokens)
    #expect(one.logProbabilities.map(\.chosen.logProbability) == other.logProbabilities.map(\.chosen.logProbability))
    #expect(
      one.logProbabilities.map { $0.top.map(\.logProbability) } == other.logProbabilities.map { $0.top.map(\.logProbability) })
  }

  @Test func answersAreTheSameBitForBit() throws {
    let (engine, plain) = (try engine(), try engine(reuses: false))
    let cases: [(prompt: [Int32], activation: Activation, reused: Int)] = [
      (Self.common, .base, 0), (Self.common, .base, 64), (Self.common + [5, 6, 7], .base, 64),
      (Array(Self.common[..<40]), .base, 32), ([3] + Self.common, .base, 0), (Array(Self.common[..<32]), .base, 16),
      (Self.common, .mixture(["plain"]), 0), (Self.common, .mixture(["plain"]), 64),
      (Self.common, .mixture([.init("plain", weight: 0.5)]), 0),
      (Self.common, .mixture([.init("plain", layers: [0...0])]), 0),
      (Self.common, .mixture([.init("plain", places: [.init(module: "q_proj", weight: 0)])]), 0),
      (Self.common, .mixture(["plain", "all"]), 0), (Self.common + [9], .mixture(["all", "plain"]), 64),
      (Self.common, .mixture(.init(levels: [["all"], ["plain"]])), 0),
    ]
    for (prompt, activation, reused) in cases {
      let result = try engine.generate(request(prompt, activation))
      #expect(result.reusedTokenCount == reused, "\(activation)")
      let expected = try plain.generate(request(prompt, activation))
      #expect(expected.reusedTokenCount == 0)
      expectSame(result, expected)
    }
  }

  @Test func answersAreReusedTooAndTheirContinuationIsTheSame() throws {
    let (engine, plain) = (try engine(), try engine(reuses: false))
    let first = try engine.generate(request(Array(Self.common[..<20]), .mixture(["all"]), count: 40))
    let prompt = Array(Self.common[..<20]) + first.tokens
    let second = try engine.generate(request(prompt, .mixture(["all"])))
    // The last token was sampled and never computed; the last token of a prompt always is.
    #expect(second.reusedTokenCount == 48)
    expectSame(second, try plain.generate(request(prompt, .mixture(["all"]))))
  }

  @Test func togetherWithOthersInSmallSteps() throws {
    let (engine, plain) = (try engine(rows: 20), try engine(reuses: false))
    var requests: [GenerationRequest] = []
    for index in 0..<7 {
      let prompt: [Int32] = Array(Self.common.prefix(20 + 8 * index)) + [Int32(index + 2)]
      requests.append(request(prompt, index % 3 == 0 ? .mixture(["plain"]) : .base, count: 9))
    }
    let ids = try requests.map { try engine.submit($0) }
    var results: [SequenceID: GenerationResult] = [:]
    while engine.step({ if case .finished(let id, let result) = $0 { results[id] = result } }) {}
    var reused = 0
    for (request, id) in zip(requests, ids) {
      let result = try #require(results[id])
      reused += result.reusedTokenCount
      expectSame(result, try plain.generate(request))
    }
    #expect(reused >= 64, "\(reused)")
  }

  @Test func anotherVersionAnotherCache() throws {
    let engine = try engine()
    _ = try engine.generate(request(Self.common, .mixture(["plain"])))
    try engine.loadAdapter("plain", from: GenerationTests.adapter("plain"))
    #expect(try engine.generate(request(Self.common, .mixture(["plain"]))).reusedTokenCount == 0)
    #expect(try engine.generate(request(Self.common, .mixture(["plain"]))).reusedTokenCount == 64)
    try engine.unloadAdapter("plain")
    try engine.loadAdapter("plain", from: GenerationTests.adapter("all"))
    let result = try engine.generate(request(Self.common, .mixture(["plain"])))
    #expect(result.reusedTokenCount == 0)
    expectSame(result, try engine.generate(request(Self.common, .mixture(["all"]))))
  }

  @Test func fusingForgets() throws {
    let engine = try engine()
    let base = try engine.generate(request(Self.common))
    try engine.fuse([.init("all", weight: 3)])
    let fused = try engine.generate(request(Self.common))
    #expect(fused.reusedTokenCount == 0 && fused.tokens != base.tokens)
    try engine.unfuse()
    let again = try engine.generate(request(Self.common))
    #expect(again.reusedTokenCount == 0)
    expectSame(again, base)
  }

  /// What was computed under two mixtures is nobody else's.
  @Test func aChangeInsideASequenceEndsSharing() throws {
    let (engine, plain) = (try engine(), try engine(reuses: false))
    let prompt = Array(Self.common[..<30])
    let id = try engine.submit(request(prompt, .base, count: 60))
    var tokens: [Int32] = []
    while engine.step({ if case .token(id, let token, _, _) = $0 { tokens.append(token) } }) {
      if tokens.count == 4 { try engine.activate(.mixture([.init("all", weight: 2)]), for: id) }
    }
    for activation in [Activation.base, .mixture([.init("all", weight: 2)])] {
      let result = try engine.generate(request(prompt + tokens, activation))
      #expect(result.reusedTokenCount == (activation == .base ? 32 : 0))
      expectSame(result, try plain.generate(request(prompt + tokens, activation)))
    }
    // The same mixture again is no change.
    let same = try engine.submit(request([9] + prompt, .base, count: 30))
    var count = 0
    while engine.step({ if case .token(same, _, _, _) = $0 { count += 1 } }) {
      if count == 4 { try engine.activate(.base, for: same) }
    }
    #expect(try engine.generate(request([9] + prompt + [1, 2], .base)).reusedTokenCount == 16)
    #expect(engine.sequenceCount == 0)
  }

  /// One sequence fits at a time: what an earlier one left is lost only where its memory is needed.
  @Test func memoryIsNeverShort() throws {
    let (engine, plain) = (try engine(sequences: 1, context: 96), try engine(reuses: false))
    var numbers = SeededGenerator(seed: 3)
    var reused = 0
    for _ in 0..<30 {
      let length = Int.random(in: 1...80, using: &numbers)
      var prompt = Array(Self.common[..<min(length, 70)])
      if Bool.random(using: &numbers) { prompt[0] = 50 }
      let result = try engine.generate(request(prompt, count: 96 - prompt.count))
      reused += result.reusedTokenCount
      expectSame(result, try plain.generate(request(prompt, count: 96 - prompt.count)))
    }
    #expect(reused > 100, "\(reused)")
  }
}
