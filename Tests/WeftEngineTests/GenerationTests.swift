// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// The engine on golden models, which have no tokenizer: prompts are tokens.
struct GenerationTests {
  static let model = TestPaths.goldens + "/logits/gqa-tied"
  static func adapter(_ name: String) -> String { TestPaths.goldens + "/adapters/" + name }
  static let prompt: [Int32] = [1, 5, 9, 2, 44, 17]

  private func engine(sequences: Int = 4, rows: Int = 64, threads: Int = 1, rank: Int = 1024) throws -> Engine {
    let engine = try Engine(
      model: Self.model,
      options: EngineOptions(
        threads: threads, contextLength: 100, maximumSequences: sequences, maximumStepRows: rows, kvType: .f32,
        maximumActiveRank: rank))
    try engine.loadAdapter("plain", from: Self.adapter("plain"))
    try engine.loadAdapter("all", from: Self.adapter("all"))
    return engine
  }

  private func request(
    _ prompt: [Int32] = prompt, _ activation: Activation = .base, count: Int = 12, sampling: SamplingOptions = .greedy
  ) -> GenerationRequest {
    GenerationRequest(
      .tokens(prompt), activation: activation, sampling: sampling, maximumTokens: count, ignoresEndTokens: true)
  }

  @Test func aRequestAloneAndAmongOthersGivesTheSameTokens() throws {
    let requests = [
      request(), request([3, 4], .mixture([.init("plain")])),
      request([7], .mixture([.init("all", weight: -0.5), .init("plain")])),
      request([9, 9, 9, 9, 9, 9, 9], .mixture([.init("all")]), count: 30),
      request([60, 61], .base, sampling: SamplingOptions(temperature: 1, seed: 5)),
    ]
    let alone = try requests.map { try engine().generate($0).tokens }
    #expect(Set(alone).count == alone.count, "the requests differ, and so do their answers")
    // Three at a time, four rows a step: they wait, and prompts are cut.
    for threads in [1, 2] {
      let busy = try engine(sequences: 3, rows: 4, threads: threads)
      let ids = try requests.map { try busy.submit($0) }
      var results: [SequenceID: [Int32]] = [:]
      while busy.step({ if case .finished(let id, let result) = $0 { results[id] = result.tokens } }) {}
      #expect(ids.map { results[$0] } == alone)
      #expect(busy.sequenceCount == 0)
    }
  }

  @Test func sameSeedSameTokens() throws {
    let engine = try engine()
    func tokens(_ seed: UInt64) throws -> [Int32] {
      try engine.generate(
        request(count: 40, sampling: SamplingOptions(temperature: 1.5, topK: 0, topP: 1, minP: 0, seed: seed))
      )
      .tokens
    }
    #expect(try tokens(1) == tokens(1))
    #expect(try tokens(1) != tokens(2))
  }

  @Test func theLastTokensOfTheContextAreUsed() throws {
    let result = try engine().generate(request([Int32](repeating: 3, count: 90), count: 1000))
    #expect(result.tokens.count == 10 && result.finishReason == .length)
    #expect(result.promptTokenCount == 90)
  }

  @Test func stopTokensEndTheAnswer() throws {
    let engine = try engine()
    let free = try engine.generate(request(count: 8)).tokens
    var stopping = request(count: 8)
    stopping.ignoresEndTokens = false
    stopping.stopTokens = [free[3]]
    let result = try engine.generate(stopping)
    #expect(result.tokens == Array(free[...free.firstIndex(of: free[3])!]))
    #expect(result.finishReason == .endToken)
  }

  @Test func cancellingEndsBetweenTokensAndFreesTheRest() throws {
    let engine = try engine(sequences: 1)
    let first = try engine.submit(request(count: 90))
    let second = try engine.submit(request(count: 3))
    var finished: [SequenceID: GenerationResult] = [:]
    var tokens = 0
    while engine.step({ event in
      switch event {
      case .token(first, _, _, _): tokens += 1
      case .finished(let id, let result): finished[id] = result
      default: break
      }
    }) {
      if tokens == 5 { engine.cancel(first) }
    }
    #expect(finished[first]?.finishReason == .cancelled && finished[first]?.tokens.count == 5)
    #expect(finished[second]?.tokens.count == 3)
  }

  @Test func swappingTakesEffectWithTheNextToken() throws {
    let engine = try engine()
    let plain = try engine.generate(request(count: 10)).tokens
    let id = try engine.submit(request(count: 10))
    var swapped: [Int32] = []
    var mixtures: [AdapterMixture] = []
    while engine.step({ event in
      switch event {
      case .token(id, let token, _, _): swapped.append(token)
      case .activated(id, let adapters, _): mixtures.append(adapters)
      default: break
      }
    }) {
      if swapped.count == 4 { try engine.activate(.mixture([.init("all", weight: 3)]), for: id) }
    }
    #expect(swapped.prefix(4) == plain.prefix(4) && swapped != plain)
    #expect(mixtures == [[], [.init("all", weight: 3)]])
  }

  @Test func unloadingAndReloadingDoNotDisturbRunningSequences() throws {
    let engine = try engine()
    let expected = try engine.generate(request([5, 6], .mixture([.init("plain")]), count: 20)).tokens
    let id = try engine.submit(request([5, 6], .mixture([.init("plain")]), count: 20))
    var tokens: [Int32] = []
    while engine.step({ if case .token(id, let token, _, _) = $0 { tokens.append(token) } }) {
      if tokens.count == 3 { try engine.unloadAdapter("plain") }
      if tokens.count == 6 { try engine.loadAdapter("plain", from: Self.adapter("all")) }
    }
    #expect(tokens == expected)
    #expect(try engine.generate(request([5, 6], .mixture([.init("plain")]), count: 20)).tokens != expected)
  }

  @Test func fusingEqualsMixingAndUnfusingRestores() throws {
    let engine = try engine()
    func logits(_ adapters: AdapterMixture) throws -> [Float] {
      var all: [Float] = []
      try engine.logits(of: Self.prompt, adapters: adapters) { all += $1 }
      return all
    }
    let base = try logits([])
    let mixed = try logits([.init("all", weight: 0.75)])
    try engine.fuse([.init("all", weight: 0.75)])
    #expect(engine.fusedAdapters == [.init("all", weight: 0.75)])
    // Measured 1.1e-6.
    #expect(relativeError(try logits([]), mixed) <= 2.2e-6)
    #expect(throws: EngineError.self) { try engine.fuse([.init("plain")]) }
    try engine.unfuse()
    #expect(try logits([]) == base)
    #expect(engine.fusedAdapters.isEmpty)
  }

  @Test func errorsSayWhereWhatAndWhatElse() throws {
    let engine = try engine(rank: 16)
    func error(_ body: () throws -> Void) -> EngineError? {
      do {
        try body()
        return nil
      } catch { return error as? EngineError }
    }
    func expect(_ status: EngineError.Status, _ part: String, _ body: () throws -> Void) {
      let found = error(body)
      #expect(found?.status == status && found?.message.contains(part) == true, "\(String(describing: found))")
    }
    expect(.notFound, "adapter chef: no adapter of this name; loaded: all, plain") {
      try engine.submit(request([1], .mixture([.init("chef")])))
    }
    expect(.invalidArgument, "'plain' twice") { try engine.submit(request([1], .mixture([.init("plain"), .init("plain")]))) }
    expect(.invalidArgument, "finite number") { try engine.submit(request([1], .mixture([.init("plain", weight: .nan)]))) }
    expect(.outOfMemory, "active ranks of at most 16") {
      try engine.submit(request([1], .mixture([.init("plain"), .init("all")])))
    }
    expect(.invalidArgument, "found 100") { try engine.submit(request([Int32](repeating: 1, count: 100))) }
    expect(.invalidArgument, "at least one token") { try engine.submit(request([])) }
    expect(.invalidArgument, "token: expected 0 to") { try engine.submit(request([-1])) }
    expect(.invalidArgument, "found 99999") { try engine.submit(request([99999])) }
    expect(.invalidArgument, "maximum tokens") { try engine.submit(request(count: 0)) }
    expect(.unsupported, "expected a tokenizer") { try engine.submit(GenerationRequest(.text("hello"))) }
    expect(.unsupported, "expected a chat template") { try engine.submit(GenerationRequest(.messages([.user("hello")]))) }
    expect(.notFound, "router: none is loaded") { try engine.submit(request([1], .routed)) }
    expect(.invalidArgument, "temperature") { try engine.submit(request(sampling: SamplingOptions(temperature: -1))) }
    expect(.invalidArgument, "top-p") { try engine.submit(request(sampling: SamplingOptions(topP: 0))) }
    expect(.notFound, "adapter nobody") { try engine.unloadAdapter("nobody") }
    expect(.notFound, "absent-model") { _ = try Engine(model: "/absent-model") }
    expect(.invalidArgument, "threads: expected 1 to") { _ = try Engine(model: Self.model, options: EngineOptions(threads: 0)) }
    expect(.invalidArgument, "at least one for each of 8 sequences, found 4") {
      _ = try Engine(model: Self.model, options: EngineOptions(maximumStepRows: 4))
    }
    expect(.invalidArgument, "context length: expected at most 128") {
      _ = try Engine(model: Self.model, options: EngineOptions(contextLength: 129))
    }
    try engine.submit(request())
    expect(.busy, "expected no sequence in flight, found 1") { try engine.fuse([.init("plain")]) }
  }
}
