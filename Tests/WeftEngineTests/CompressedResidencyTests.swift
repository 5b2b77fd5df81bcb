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

  /// The plan counts what the program takes when an engine opens, which other tests change meanwhile: adapters are large beside
  /// that, and where the program grew by more between two openings, both are done again.
  @Test func moreThanTheMemoryIsRefused() throws {
    let one = try prepared(engine(), "a", .f32, rank: 4096).byteCount
    let margin = 192 << 20
    var opened: Engine?
    for _ in 0..<20 where opened == nil {
      let limit = try engine().memoryPlan.byteCount + one + margin
      opened = try? engine(maximumMemory: limit)
    }
    let engine = try #require(opened)
    var count = 0
    let error = #expect(throws: EngineError.self) {
      while count <= (one + 2 * margin) / one {
        try engine.install(prepared(engine, "a\(count)", .f32, rank: 4096))
        count += 1
      }
    }
    #expect(error?.status == .outOfMemory && count >= 1 && engine.adapters.count == count)
    try engine.unloadAdapter("a0")
    try engine.install(prepared(engine, "b", .f32, rank: 4096))
  }
}
