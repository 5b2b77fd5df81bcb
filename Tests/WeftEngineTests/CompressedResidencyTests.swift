// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftEngine
import WeftTensors

/// Adapters whose factors stay compressed, in an engine: nothing is kept beside what is packed, and everything still works.
struct CompressedResidencyTests {
  private static let prompt: [Int32] = [1, 5, 9, 2, 44, 17]
  private static let projections: Set<Projection> = [.query, .key, .value, .output, .gate, .up, .down]

  private func engine(maximumMemory: Int? = nil) throws -> Engine {
    try Engine(
      model: GenerationTests.model,
      options: EngineOptions(
        threads: 1, contextLength: 100, maximumSequences: 4, kvType: .f32, maximumMemory: maximumMemory))
  }

  private func prepared(_ engine: Engine, _ name: String, _ type: DType, rank: Int = 8, seed: UInt64 = 1) throws
    -> PreparedAdapter
  {
    let loader = engine.adapterLoader
    return try loader.prepare(loader.synthetic(name, rank: rank, type: type, projections: Self.projections, seed: seed))
  }

  private func tokens(_ engine: Engine, _ mixture: AdapterMixture) throws -> [Int32] {
    try engine.generate(
      GenerationRequest(
        .tokens(Self.prompt), activation: .mixture(mixture), sampling: .greedy, maximumTokens: 20, ignoresEndTokens: true)
    ).tokens
  }

  @Test(arguments: [DType.f32, .f16, .q8_0, .q4_0, .ternary]) func fuseAndUnfuse(type: DType) throws {
    let engine = try engine()
    try engine.install(prepared(engine, "a", type))
    let strong: AdapterMixture = [WeightedAdapter("a", weight: 300)]
    let (base, beside) = (try tokens(engine, []), try tokens(engine, strong))
    #expect(base != beside)
    try engine.fuse(strong)
    let fused = try tokens(engine, [])
    #expect(fused != base)
    // Rounding of activations may turn later tokens, not the first one.
    #expect(fused[0] == beside[0])
    if type == .f32 { #expect(fused == beside) }
    try engine.unfuse()
    #expect(try tokens(engine, []) == base)
    #expect(engine.adapters[0].siteCount > 0 && engine.adapters[0].ranks == 8...8)
  }

  /// What is planned is what is packed: less than a quarter of F16's for Q4_0, an eighth for ternary, and some tables.
  @Test func bytesAreThoseOfTheType() throws {
    let engine = try engine()
    let sizes = try [DType.f16, .q8_0, .q4_0, .ternary].map { try prepared(engine, "a", $0, rank: 16).byteCount }
    #expect(sizes == sizes.sorted(by: >))
    try engine.install(prepared(engine, "a", .ternary, rank: 16))
    #expect(engine.memoryPlan.items.first { $0.name == "adapter a" }?.byteCount == sizes[3])
  }

  @Test func manyAdaptersCount() throws {
    let engine = try engine()
    let one = try prepared(engine, "a", .ternary).byteCount
    for number in 0..<20 { try engine.install(prepared(engine, "a\(number)", .ternary)) }
    let items = engine.memoryPlan.items.filter { $0.name.hasPrefix("adapter a") }
    #expect(items.count == 20 && items.allSatisfy { $0.byteCount == one })
    try engine.unloadAdapter("a0")
    #expect(engine.adapters.count == 19)
  }

  /// As many adapters as the memory allows, by the plan of that engine: it counts what the program took when the engine opened,
  /// which other tests change between two openings, so both are done again where no two adapters would fit.
  @Test func moreThanTheMemoryIsRefused() throws {
    let one = try prepared(engine(), "a", .f32, rank: 4096).byteCount
    var (opened, limit): (Engine?, Int) = (nil, 0)
    for _ in 0..<20 where opened == nil {
      limit = try engine().memoryPlan.byteCount + 3 * one + 192 << 20
      opened = try? engine(maximumMemory: limit)
      if let plan = opened?.memoryPlan, plan.byteCount + 2 * one + 192 << 20 > limit { opened = nil }
    }
    let engine = try #require(opened)
    var count = 0
    let error = #expect(throws: EngineError.self) {
      while true {
        try engine.install(prepared(engine, "a\(count)", .f32, rank: 4096))
        count += 1
        try #require(engine.memoryPlan.byteCount <= limit)
      }
    }
    #expect(error?.status == .outOfMemory && count >= 1 && engine.adapters.count == count)
    #expect(engine.memoryPlan.byteCount + one > limit)
    try engine.unloadAdapter("a0")
    try engine.install(prepared(engine, "b", .f32, rank: 4096))
  }
}
