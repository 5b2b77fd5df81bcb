// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// Adapters that are more than a change of weights, in sequences: prompts before the tokens, experts that the base or the whole
/// prompt chooses. Goldens of peft; then what the engine adds: waiting, pieces, company, reuse, the end of the context.
struct PromptSequenceTests {
  private static let families = TestPaths.goldens + "/families/"
  private static let tokens: [Int32] = (0..<40).map { $0 * 13 % 60 + 20 }

  /// Adapters of `bases/llama`, with the positions that they put before the tokens.
  private static let prompts: [(name: String, count: Int)] = [
    ("prompt-tuning", 5), ("prefix-tuning", 5), ("cartridge", 5), ("adaption-prompt", 0),
  ]

  private func engine(
    _ base: String = "llama", reuses: Bool = true, rows: Int = 64, sequences: Int = 3, context: Int = 64, logitRows: Int = 16
  ) throws -> Engine {
    let engine = try Engine(
      model: Self.families + "bases/" + base,
      options: EngineOptions(
        threads: 1, contextLength: context, maximumSequences: sequences, maximumStepRows: rows, maximumLogitRows: logitRows,
        kvType: .f32, reusesPrefixes: reuses))
    guard base == "llama" else { return engine }
    for name in Self.prompts.map(\.name) + ["lora", "xlora", "lily"] {
      try engine.loadAdapter(name, from: Self.families + name)
    }
    return engine
  }

  private func request(_ prompt: [Int32], _ mixture: AdapterMixture, count: Int = 8) -> GenerationRequest {
    GenerationRequest(
      .tokens(prompt), activation: .mixture(mixture), sampling: .greedy, logProbabilities: 2, maximumTokens: count,
      ignoresEndTokens: true)
  }

  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  private func logits(_ engine: Engine, _ tokens: [Int32], _ mixture: AdapterMixture) throws -> [[Float]] {
    var rows: [[Float]] = []
    try engine.logits(of: tokens, adapters: mixture) { rows.append(Array($1)) }
    return rows
  }

  @Test(arguments: [
    ("prompt-tuning", "llama"), ("prompt-tuning-gpt2", "gpt2"), ("prefix-tuning", "llama"), ("prefix-tuning-gpt2", "gpt2"),
    ("cartridge", "llama"), ("cpt", "llama"), ("p-tuning", "llama"), ("adaption-prompt", "llama"), ("xlora", "llama"),
    ("xlora-deep", "llama"), ("lily", "llama"),
  ])
  func logitsAreThoseOfPeft(name: String, base: String) throws {
    let golden = try Golden("families/\(name)/expected.safetensors")
    let engine = try engine(base)
    try engine.loadAdapter("golden", from: Self.families + name)
    let tokens = try golden.integers("tokens").map { Int32($0) }
    // Measured: 4.5e-7 to 8.4e-7, on all tiers.
    #expect(relativeError(try logits(engine, tokens, ["golden"]).flatMap { $0 }, try golden.floats("logits")) <= 1.7e-6)
  }

  /// Alone, and among others in small steps with waiting and reuse: the same answers, and those of the whole logits.
  @Test func answersAreTheSameInAnyCompany() throws {
    let mixtures: [AdapterMixture] = [
      ["prompt-tuning"], ["prefix-tuning"], ["cartridge", "lora"], ["adaption-prompt"], [], ["xlora"], ["lora"],
      [.init("prompt-tuning", weight: 0), "lora"],
    ]
    let requests = mixtures.enumerated().map { request(Array(Self.tokens[$0..<$0 + 20]), $1) }
    let alone = try requests.map { try engine(reuses: false).generate($0) }
    #expect(Set(alone.map(\.tokens)).count == alone.count, "the requests differ, and so do their answers")
    for (request, result) in zip(requests, alone) {
      guard case .tokens(let prompt) = request.prompt, case .mixture(let mixture) = request.activation else { continue }
      let rows = try logits(engine(), prompt + result.tokens.dropLast(), mixture)
      let likeliest = rows[(prompt.count - 1)...].map { row in Int32(row.indices.max { row[$0] < row[$1] } ?? 0) }
      #expect(likeliest == result.tokens, "\(mixture)")
    }
    for rows in [5, 7, 64] {
      let busy = try engine(rows: rows)
      for _ in 0..<2 {
        let ids = try requests.map { try busy.submit($0) }
        var results: [SequenceID: GenerationResult] = [:]
        while busy.step({ if case .finished(let id, let result) = $0 { results[id] = result } }) {}
        for (id, expected) in zip(ids, alone) {
          #expect(results[id]?.tokens == expected.tokens, "\(rows) rows")
          #expect(results[id]?.logProbabilities.map(\.chosen) == expected.logProbabilities.map(\.chosen))
        }
      }
    }
  }

  @Test(arguments: ["prompt-tuning", "prefix-tuning"]) func promptsAreReusedUnderTheSameMixture(name: String) throws {
    let engine = try engine()
    let mixture: AdapterMixture = [.init(name)]
    let first = try engine.generate(request(Self.tokens, mixture))
    #expect(first.reusedTokenCount == 0)
    let second = try engine.generate(request(Self.tokens, mixture))
    // Two whole blocks hold five positions of the prompt and 27 tokens.
    #expect(second.reusedTokenCount == 27 && second.tokens == first.tokens && second.promptTokenCount == 40)
    for other in [[], ["cartridge"], ["lora"], ["lora", .init(name)]] as [AdapterMixture] {
      #expect(try engine.generate(request(Self.tokens, other)).reusedTokenCount == 0)
    }
  }

  @Test func theContextCountsWhatStandsBefore() throws {
    let engine = try engine(context: 48)
    for (name, count) in Self.prompts {
      let result = try engine.generate(request(Self.tokens, [.init(name)], count: 100))
      #expect(result.tokens.count == 8 - count && result.isContextFull && result.finishReason == .length)
    }
    let refusal = message { try engine.submit(request(Self.tokens + [1, 2, 3], ["prompt-tuning"])) }
    #expect(refusal.contains("the context of 48, found 43 behind 5 of adapter prompt-tuning"), "\(refusal)")
    #expect(
      message { try engine.logits(of: Self.tokens + [1, 2, 3, 4], adapters: ["prefix-tuning"]) { _, _ in } }.contains("1 to 43")
    )
  }

  /// Gates need the base's keys and values too: the same memory twice.
  @Test func gatesTakeTheirShare() throws {
    let engine = try engine(sequences: 1, context: 64)
    let result = try engine.generate(request(Array(Self.tokens[..<20]), ["xlora"], count: 100))
    #expect(result.tokens.count == 12 && result.isContextFull)
    let refusal = message { try engine.submit(request(Self.tokens, ["xlora"])) }
    #expect(refusal.contains("the context of 32, found 40 with gates of adapter xlora"), "\(refusal)")
    #expect(message { try engine.submit(request([1], ["xlora", "prompt-tuning"])) }.contains("expected one of them"))
    #expect(try engine.generate(request(Self.tokens, [])).tokens.count == 8, "blocks come back")
  }

  @Test func expertsOfAWholePromptAreNotCut() throws {
    let engine = try engine(rows: 32, logitRows: 8)
    let refusal = message { try engine.submit(request(Self.tokens, ["lily"])) }
    #expect(refusal.contains("expected a prompt of at most 30 tokens") && refusal.contains("found 40"), "\(refusal)")
    #expect(
      message { try engine.logits(of: Array(Self.tokens[..<9]), adapters: ["lily"]) { _, _ in } }.contains("at most 8 tokens"))
    let prompt = Array(Self.tokens[..<25])
    let alone = try engine.generate(request(prompt, ["lily"]))
    // Rows are left for a part of it only: it waits.
    let ids = try (0..<3).map { _ in try engine.submit(request(prompt, ["lily"])) }
    var results: [SequenceID: GenerationResult] = [:]
    while engine.step({ if case .finished(let id, let result) = $0 { results[id] = result } }) {}
    for id in ids { #expect(results[id]?.tokens == alone.tokens && results[id]?.reusedTokenCount == 0) }
  }

  @Test func whatStandsBeforeASequenceIsChosenBeforeItBegins() throws {
    let engine = try engine()
    let expected = try engine.generate(request(Self.tokens, ["prefix-tuning"])).tokens
    let id = try engine.submit(request(Self.tokens, ["prompt-tuning"]))
    try engine.activate(.mixture(["prefix-tuning"]), for: id)
    var tokens: [Int32] = []
    while engine.step({ if case .token(id, let token, _, _) = $0 { tokens.append(token) } }) {
      for name in ["prompt-tuning", "xlora"] {
        guard tokens.count == 1 else { continue }
        let refusal = message { try engine.activate(.mixture([.init(name)]), for: id) }
        #expect(refusal.hasPrefix("adapter \(name): expected a sequence that has not begun"), "\(refusal)")
      }
    }
    #expect(tokens == expected)
    // Other adapters may come and go: what stands before stays.
    let other = try engine.submit(request(Array(Self.tokens[5...]), ["prefix-tuning"], count: 20))
    tokens = []
    while engine.step({ if case .token(other, let token, _, _) = $0 { tokens.append(token) } }) {
      if tokens.count == 3 { try engine.activate(.mixture(["lora"]), for: other) }
      if tokens.count == 6 { try engine.activate(.base, for: other) }
      if tokens.count == 9 { try engine.activate(.mixture(["prefix-tuning", "lora"]), for: other) }
    }
    let plain = try engine.generate(request(Array(Self.tokens[5...]), ["prefix-tuning"], count: 20)).tokens
    #expect(tokens.count == 20 && tokens.prefix(3) == plain.prefix(3) && tokens != plain)
  }

  @Test func oneOfAKind() throws {
    let engine = try engine()
    #expect(
      message { try engine.submit(request([1], ["prompt-tuning", "prefix-tuning"])) }.hasPrefix(
        "mixture: 'prefix-tuning' and 'prompt-tuning' cannot be mixed: each has a prompt for the beginning of the sequence"))
    #expect(
      message { try engine.submit(request([1], [.init("cartridge", weight: 0.5)])) }.contains(
        "expected weight 1 there, found 0.5"))
  }
}
