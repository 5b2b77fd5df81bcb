// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// Composites, and the choice between the ways to run a mixture.
struct PlannerTests {
  private static let tokens = (0..<24).map { Int32(($0 * 37 + 11) % 96) }
  private static func base(_ name: String) -> String { TestPaths.goldens + "/logits/" + name }
  private static func adapter(_ name: String) -> String { TestPaths.goldens + "/adapters/" + name }

  private func engine(_ base: String = "gqa-tied", budget: Int? = nil) throws -> Engine {
    let engine = try Engine(
      model: Self.base(base),
      options: EngineOptions(threads: 2, contextLength: 64, maximumSequences: 2, kvType: .f32, adapterBudget: budget))
    for name in base == "gqa-tied" ? ["plain", "all", "rslora", "f16", "layers"] : ["wide"] {
      try engine.loadAdapter(name, from: Self.adapter(name))
    }
    return engine
  }

  private func logits(_ engine: Engine, _ mixture: AdapterMixture) throws -> [Float] {
    var result: [Float] = []
    try engine.logits(of: Self.tokens, adapters: mixture) { _, row in result += row }
    return result
  }

  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  // MARK: - Composites

  @Test(arguments: [
    "plain,rslora", "all:0.25,layers,rslora:-0.5", "plain:0.7,f16:0.3", "all:0.5[q_proj=0.2],plain@0-1",
  ]) func aCompositeIsItsMixture(text: String) throws {
    let engine = try engine()
    let mixture = try AdapterMixture(parsing: text)
    let name = try engine.composite(of: mixture)
    // Sums in another order. Measured: 7e-7.
    #expect(relativeError(try logits(engine, [.init(name)]), try logits(engine, mixture)) <= 1.4e-6)
    let summary = try #require(engine.adapters.first { $0.name == name })
    #expect(summary.family == "composite" && summary.version == 1)
    #expect(try engine.composite(of: mixture) == name && engine.adapters.first { $0.name == name }?.version == 1)
  }

  @Test func aCompositeIsOfTheVersionsThatItWasMadeOf() throws {
    let engine = try engine()
    let name = try engine.composite(of: ["plain", "rslora"])
    #expect(try engine.composite(of: ["rslora", "plain"]) == name)
    #expect(try engine.composite(of: ["plain", .init("rslora", weight: 0.5)]) != name)
    #expect(try engine.composite(of: ["plain", "rslora"], rank: 4) != name)
    try engine.loadAdapter("plain", from: Self.adapter("all"))
    let second = try engine.composite(of: ["plain", "rslora"])
    #expect(second != name)
    #expect(try logits(engine, [.init(second)]) != logits(engine, [.init(name)]))
  }

  /// A rank that holds everything changes nothing; one below it is a composite of that rank.
  @Test func aCompositeCanBeCut() throws {
    let engine = try engine()
    let mixture: AdapterMixture = ["plain", .init("rslora", weight: 0.5)]
    let full = try logits(engine, mixture)
    let (least, most) = (2, 64)
    let (small, all) = (try engine.composite(of: mixture, rank: least), try engine.composite(of: mixture, rank: most))
    #expect(relativeError(try logits(engine, [.init(all)]), full) <= 1.4e-6)
    let cut = relativeError(try logits(engine, [.init(small)]), full)
    #expect(cut > 1e-4, "\(cut)")
    #expect(engine.adapters.first { $0.name == small }?.ranks == 2...2)
    let middle = try engine.composite(of: mixture, rank: 8)
    #expect(relativeError(try logits(engine, [.init(middle)]), full) < cut)
  }

  @Test func compositesLiveInTheBudget() throws {
    let one = try engine().composite(of: ["plain", "rslora"])
    let bytes = try engine().adapters.reduce(0) { $0 + 2 * $1.byteCount }
    let engine = try engine(budget: bytes)
    #expect(try engine.composite(of: ["plain", "rslora"]) == one)
    var made: [String] = []
    for step in 1...12 { made.append(try engine.composite(of: ["plain", .init("rslora", weight: 1 / Float(step + 1))])) }
    #expect(engine.evictedAdapters.contains { $0.name == made[0] } || engine.evictedAdapters.contains { $0.name == one })
    #expect(engine.adapters.contains { $0.name == made[11] })
  }

  @Test func aMethodMakesOneOfSeveral() throws {
    let engine = try engine()
    let mixture: AdapterMixture = ["plain", .init("rslora", weight: 0.5)]
    try engine.composite("joined", of: mixture, method: .init("cat"))
    let error = relativeError(try logits(engine, ["joined"]), try logits(engine, mixture))
    // Both ranks in one sum. Measured: 1.8e-6.
    #expect(error <= 3.6e-6)
    try engine.composite("elected", of: mixture, method: .init("ties", space: "delta", parameters: ["density": 0.5], rank: 8))
    #expect(try logits(engine, ["elected"]) != logits(engine, ["joined"]))
    // The same again is there already; something else under the name is a new version.
    try engine.composite("joined", of: mixture, method: .init("cat"))
    #expect(engine.adapters.first { $0.name == "joined" }?.version == 1)
    try engine.composite("joined", of: mixture, method: .init("cat", rank: 2))
    #expect(engine.adapters.first { $0.name == "joined" }?.version == 2)
    #expect(message { try engine.composite("x", of: mixture, method: .init("tea")) }.contains("'tea'"))
    #expect(message { try engine.composite("x", of: mixture, method: .init("ties", space: "up")) }.contains("space"))
    #expect(message { try engine.composite("plain", of: mixture, method: .init("cat")) }.contains("new one"))
    #expect(
      message { try engine.composite("x", of: mixture, method: .init("ties", parameters: ["density": 2])) }.contains("density"))
    let places = try AdapterMixture(parsing: "plain@0-1,rslora")
    #expect(message { try engine.composite("x", of: places, method: .init("cat")) }.contains("one weight each"))
  }

  @Test func whatCannotBeOneIsRefusedWithItsReason() throws {
    let engine = try engine()
    #expect(message { _ = try engine.composite(of: ["plain"]) }.contains("one adapter already"))
    let stack = try AdapterMixture(parsing: "plain>rslora")
    #expect(message { _ = try engine.composite(of: stack) }.contains("upon each other"))
    let zero = try AdapterMixture(parsing: "plain:0,rslora:0")
    #expect(message { _ = try engine.composite(of: zero) }.contains("nothing in it acts"))
    let family = TestPaths.goldens + "/families/"
    let other = try Engine(
      model: family + "bases/llama", options: EngineOptions(threads: 1, contextLength: 32, maximumSequences: 1))
    try other.loadAdapter("dora", from: family + "lora-dora")
    try other.loadAdapter("lora", from: family + "adalora")
    #expect(message { _ = try other.composite(of: ["dora", "lora"]) }.contains("dora has 'scale'"))
  }

  // MARK: - Plans

  @Test func noTokensNeedNoPreparationAndManyDo() throws {
    let engine = try engine()
    let mixture: AdapterMixture = ["plain", "rslora"]
    let few = try engine.plan(for: mixture, expectedTokens: 1)
    #expect(few.way == .side && few.estimates.map(\.way) == ExecutionPlan.Way.allCases)
    let many = try engine.plan(for: mixture, expectedTokens: 1 << 30)
    #expect(many.way == .fuse && many.estimates.allSatisfy { $0.refusal == nil })
    let side = try #require(many.estimate(.side)?.decode), composite = try #require(many.estimate(.composite)?.decode)
    #expect(side > composite && composite > 0 && many.estimate(.fuse)?.decode == 0)
    #expect(many.description.contains("* fuse") && many.description.contains("rslora"))
    let without = try engine.plan(for: mixture, expectedTokens: 1 << 30, ways: [.side, .composite])
    #expect(without.way == .composite)
  }

  @Test func whatAPlanPreparesIsTheMixture() throws {
    let engine = try engine()
    let mixture: AdapterMixture = ["plain", .init("rslora", weight: 0.5)]
    let (plain, expected) = (try logits(engine, []), try logits(engine, mixture))
    for way in ExecutionPlan.Way.allCases {
      let plan = try engine.plan(for: mixture, expectedTokens: 100, ways: [way])
      let active = try engine.apply(plan)
      #expect(active.adapters.isEmpty == (way == .fuse))
      // Measured: 2.8e-6.
      #expect(relativeError(try logits(engine, active), expected) <= 5.6e-6, "\(way)")
      // What is there costs nothing to prepare.
      let again = try engine.plan(for: mixture, expectedTokens: 100, ways: [way])
      #expect(again.estimate(way)?.preparation == 0)
      #expect(try engine.apply(again) == active)
      try engine.unfuse()
    }
    #expect(try logits(engine, []) == plain)
  }

  @Test func waysThatAreNotPossibleSayWhy() throws {
    let quantized = try engine("wide-q4_0/model.gguf")
    let plan = try quantized.plan(for: ["wide"], expectedTokens: 1 << 30)
    #expect(plan.way == .side)
    #expect(plan.estimate(.fuse)?.refusal?.contains("quantised (Q4_0)") == true)
    #expect(plan.estimate(.composite)?.refusal == "it is one adapter already")
    #expect(message { _ = try quantized.plan(for: ["wide"], expectedTokens: 1, ways: [.fuse]) }.contains("found none (fuse: "))
    let engine = try engine()
    _ = try engine.submit(GenerationRequest(.tokens([1, 2, 3])))
    #expect(try engine.plan(for: ["plain"], expectedTokens: 9).estimate(.fuse)?.refusal == "1 sequences are in flight")
    #expect(message { _ = try engine.plan(for: ["plain"], expectedTokens: -1) }.contains("expected tokens"))
    #expect(message { _ = try engine.plan(for: ["absent"], expectedTokens: 1) }.contains("absent"))
  }
}
