// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// What stays in memory, what goes, and who notices.
struct AdapterResidencyTests {
  private static let prompt: [Int32] = [1, 5, 9, 2, 44, 17]

  private func engine(budget: Int? = nil) throws -> Engine {
    try Engine(
      model: GenerationTests.model,
      options: EngineOptions(threads: 1, contextLength: 100, maximumSequences: 4, kvType: .f32, adapterBudget: budget))
  }

  private func load(_ engine: Engine, _ names: String..., from folder: String = "plain") throws {
    for name in names { try engine.loadAdapter(name, from: GenerationTests.adapter(folder)) }
  }

  private func request(_ mixture: AdapterMixture, count: Int = 12) -> GenerationRequest {
    GenerationRequest(
      .tokens(Self.prompt), activation: .mixture(mixture), sampling: .greedy, maximumTokens: count, ignoresEndTokens: true)
  }

  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return "\(error)" }
  }

  /// Bytes of one adapter `plain`, as the budget counts them.
  private func size() throws -> Int {
    try engine().adapterLoader.prepare("x", from: GenerationTests.adapter("plain")).byteCount
  }

  @Test func versionsCount() throws {
    let engine = try engine()
    try load(engine, "a", "b", "a")
    #expect(engine.adapters.map(\.version) == [2, 1] && engine.adapters.map(\.name) == ["a", "b"])
    #expect(engine.adapters[0].path == GenerationTests.adapter("plain") && !engine.adapters[0].isPinned)
    try engine.unloadAdapter("a")
    try load(engine, "a")
    #expect(engine.adapters.map(\.version) == [3, 1])
  }

  @Test func aRunningSequenceKeepsItsVersion() throws {
    let engine = try engine()
    try load(engine, "a")
    let old = try engine.generate(request(["a"], count: 30)).tokens
    let id = try engine.submit(request(["a"], count: 30))
    var (tokens, seen): ([Int32], [Int]) = ([], [])
    while engine.step({ if case .token(id, let token, _, _) = $0 { tokens.append(token) } }) {
      if tokens.count == 5 { try load(engine, "a", from: "all") }
      if tokens.count == 6 {
        seen = engine.adapters.map(\.sequenceCount) + [engine.memoryPlan.items.filter { $0.name.hasPrefix("adapter a") }.count]
      }
    }
    #expect(tokens == old && seen == [0, 2], "the old version is in memory, and in use")
    #expect(engine.memoryPlan.items.filter { $0.name.hasPrefix("adapter a") }.count == 1, "and goes with its last user")
    #expect(try engine.generate(request(["a"], count: 30)).tokens != old)
  }

  @Test func theLeastRecentlyUsedGoes() throws {
    let engine = try engine(budget: 3 * size())
    try load(engine, "a", "b", "c")
    _ = try engine.generate(request(["a"]))
    try load(engine, "d")
    #expect(engine.adapters.map(\.name) == ["a", "c", "d"])
    #expect(engine.evictedAdapters.map(\.name) == ["b"] && engine.evictedAdapters[0].madeRoomFor == "d")
    let text = message { try engine.submit(request(["b"])) }
    let path = GenerationTests.adapter("plain")
    #expect(
      text.hasPrefix("adapter b: its memory went to d, within ") && text.hasSuffix("load it again from \(path), or pin it"))
    try engine.loadAdapter("b", from: engine.evictedAdapters[0].path)
    #expect(engine.adapters.map(\.name) == ["a", "b", "d"] && engine.adapters[1].version == 2)
    #expect(engine.evictedAdapters.map(\.name) == ["c"])
    try engine.unloadAdapter("c")
    #expect(engine.evictedAdapters.isEmpty && message { try engine.submit(request(["c"])) }.contains("no adapter of this name"))
  }

  @Test func whatIsPinnedOrInUseStays() throws {
    let engine = try engine(budget: 2 * size())
    try load(engine, "a", "b")
    try engine.pinAdapter("a")
    let id = try engine.submit(request(["b"], count: 20))
    let refusal = message { try load(engine, "c") }
    #expect(refusal.contains("that cannot go (pinned: a; in use: b)"), "\(refusal)")
    #expect(engine.adapters.map(\.name) == ["a", "b"] && engine.evictedAdapters.isEmpty, "nothing is changed")
    // Who waits uses it too.
    while engine.step({ _ in }) {}
    try load(engine, "c")
    #expect(engine.adapters.map(\.name) == ["a", "c"])
    try engine.unpinAdapter("a")
    try load(engine, "d")
    #expect(engine.adapters.map(\.name) == ["c", "d"])
    engine.cancel(id)
    #expect(message { try engine.pinAdapter("a") }.hasPrefix("adapter a: its memory went to d"))
    #expect(message { try engine.unpinAdapter("x") }.contains("no adapter of this name; loaded: c, d"))
  }

  @Test func aPinBelongsToTheName() throws {
    let engine = try engine(budget: 2 * size())
    try load(engine, "a")
    try engine.pinAdapter("a")
    try load(engine, "a", "b", "c")
    #expect(engine.adapters.map(\.name) == ["a", "c"] && engine.adapters[0].isPinned && engine.adapters[0].version == 2)
  }

  /// Old versions take memory while they are in use, and are counted.
  @Test func replacedVersionsCountWhileInUse() throws {
    let engine = try engine(budget: 2 * size())
    try load(engine, "a", "b")
    let id = try engine.submit(request(["a"], count: 20))
    engine.step { _ in }
    try load(engine, "a")
    #expect(engine.adapters.map(\.name) == ["a"] && engine.evictedAdapters.map(\.name) == ["b"])
    #expect(message { try load(engine, "b") }.isEmpty, "the new version of a is in nobody's use, and goes")
    #expect(engine.adapters.map(\.name) == ["b"])
    engine.cancel(id)
    while engine.step({ _ in }) {}
    try load(engine, "a")
    #expect(engine.adapters.map(\.name) == ["a", "b"])
  }

  /// What a mixture was resolved to is used again, which counts as a use of its adapters; but it keeps none of them in memory, and
  /// ends when a name means another one.
  @Test func whatWasResolvedIsForgottenInTime() throws {
    let small = try engine(budget: 2 * size())
    try load(small, "a", "b")
    for name in ["a", "b", "a"] { _ = try small.generate(request(try AdapterMixture(parsing: name))) }
    try load(small, "c")
    #expect(small.adapters.map(\.name) == ["a", "c"] && small.evictedAdapters.map(\.name) == ["b"])
    try load(small, "a", "c")
    #expect(small.adapters.map(\.version) == [2, 2], "the first versions are in nobody's use")

    let engine = try engine()
    try load(engine, "a")
    let plain = try engine.generate(request(["a"], count: 30)).tokens
    #expect(try engine.generate(request(["a"], count: 30)).tokens == plain)
    try load(engine, "a", from: "all")
    #expect(try engine.generate(request(["a"], count: 30)).tokens != plain)
    try engine.unloadAdapter("a")
    #expect(message { try engine.submit(request(["a"])) }.contains("no adapter of this name; none is loaded"))
  }

  @Test func aBudgetForNothing() throws {
    let engine = try engine(budget: 10)
    #expect(message { try load(engine, "a") }.contains("expected at most 10 B of adapters"))
    #expect(engine.adapters.isEmpty)
    #expect(message { _ = try self.engine(budget: -1) }.contains("adapter budget"))
  }

  @Test func adaptersAreReadOnOtherThreads() async throws {
    let engine = try engine()
    let loader = engine.adapterLoader
    let prepared = try await withThrowingTaskGroup { group in
      for index in 0..<4 {
        group.addTask { try loader.prepare("a\(index)", from: GenerationTests.adapter(index % 2 == 0 ? "plain" : "all")) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    let id = try engine.submit(request([], count: 8))
    var tokens: [Int32] = []
    for adapter in prepared.sorted(by: { $0.name < $1.name }) {
      engine.step { if case .token(id, let token, _, _) = $0 { tokens.append(token) } }
      try engine.install(adapter)
    }
    while engine.step({ if case .token(id, let token, _, _) = $0 { tokens.append(token) } }) {}
    #expect(try engine.generate(request([], count: 8)).tokens == tokens)
    try load(engine, "same", from: "all")
    #expect(try engine.generate(request(["a1"])).tokens == engine.generate(request(["same"])).tokens)
    #expect(throws: EngineError.self) { try loader.prepare("a", from: "/absent") }
  }

  @Test func anAdapterOfAnotherBaseIsNotInstalled() throws {
    let other = try Engine(model: TestPaths.package + "/Models/demo/base.gguf", options: EngineOptions(threads: 1))
    let prepared = try engine().adapterLoader.prepare("a", from: GenerationTests.adapter("plain"))
    let text = message { try other.install(prepared) }
    #expect(text.contains("found one for \(prepared.base)") && other.adapters.isEmpty, "\(text)")
  }

  @Test func layersOfTheBase() throws {
    let engine = try engine()
    try load(engine, "a")
    let count = engine.model.layerCount
    let text = message { try engine.submit(request(.init([.init("a", layers: [0...count])]))) }
    #expect(text == "mixture: expected layers 0 to \(count - 1) for 'a', as the base has, found 0-\(count)")
    #expect(message { try engine.validate([.init("a", layers: [0...count])]) } == text)
    #expect(message { try engine.validate(["a", "b"]) }.contains("adapter b: no adapter of this name; loaded: a"))
    #expect(message { try engine.validate(.init(parsing: "a@0:0.5")) }.isEmpty)
    #expect(message { try engine.submit(request([.init("a", places: [.init(module: "wq", weight: 1)])])) }.contains("'wq'"))
    // Without its layers an adapter is as good as absent.
    let base = try engine.generate(request([])).tokens
    #expect(try engine.generate(request([.init("a", weight: 0)])).tokens == base)
  }
}
