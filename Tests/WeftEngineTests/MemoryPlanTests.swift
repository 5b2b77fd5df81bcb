// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// A plan says what an engine then takes; `weftTests` compare it with what the system measures.
struct MemoryPlanTests {
  static let demo = TestPaths.package + "/Models/demo/base.gguf"

  /// A sparse model, fused and transposed matrices, layers of several widths, biases, one of each storage.
  static let models =
    ["mixtral-top2", "phi3-gqa", "gpt2-tied", "gpt2-tied/model.gguf", "openelm-widths", "qwen2moe-shared/model.gguf"]
    .map { TestPaths.goldens + "/architectures/" + $0 } + [demo]

  private func bytes(_ plan: MemoryPlan, _ prefix: String) -> Int {
    plan.items.filter { $0.name.hasPrefix(prefix) }.reduce(0) { $0 + $1.byteCount }
  }

  @Test(arguments: models, EngineOptions.KVType.allCases)
  func isWhatTheEngineTakes(model: String, kvType: EngineOptions.KVType) throws {
    let options = EngineOptions(
      threads: 1, contextLength: 40, maximumSequences: 3, maximumStepRows: 32, kvType: kvType, maximumActiveRank: 64)
    let plan = try MemoryPlan(model: model, options: options)
    let engine = try Engine(model: model, options: options)
    let found = engine.model
    // Sizes above 1 MiB are whole pages.
    func rounded(_ bytes: Int) -> Int { bytes < 1 << 20 ? bytes : (bytes + 4095) / 4096 * 4096 }
    #expect(bytes(plan, "weights ") - bytes(plan, "weights transposed") >= found.weightBytes)
    #expect(bytes(plan, "weights ") - bytes(plan, "weights transposed") <= found.weightBytes + 4096 * 64)
    #expect(bytes(plan, "KV cache") == rounded(found.kvBytes))
    #expect(bytes(plan, "workspace") == rounded(found.workspaceBytes))
    #expect((bytes(plan, "weights transposed") > 0) == model.hasSuffix("gpt2-tied"))
    // The same items, but for what is measured.
    let measured = ["program", "tokenizer"]
    let own = engine.memoryPlan.items.filter { !measured.contains($0.name) }
    #expect(own == plan.items.filter { !measured.contains($0.name) })
  }

  @Test func adaptersCount() throws {
    let path = TestPaths.package + "/Models/demo/experts/roman"
    let plan = try MemoryPlan(model: Self.demo, adapters: [("roman", path)])
    let engine = try Engine(model: Self.demo)
    try engine.loadAdapter("roman", from: path)
    #expect(plan.items.last == engine.memoryPlan.items.last && plan.items.last?.name == "adapter roman")
    try engine.loadAdapter("roman", from: path)
    #expect(engine.memoryPlan.items.filter { $0.name == "adapter roman" }.count == 1)
    try engine.unloadAdapter("roman")
    #expect(bytes(engine.memoryPlan, "adapter") == 0)
  }

  /// What the refusal says would fit does fit, and a block more does not.
  @Test func refusesAndSaysWhatFits() throws {
    var options = EngineOptions(threads: 1, contextLength: 1024, maximumSequences: 1)
    let whole = try MemoryPlan(model: Self.demo, options: options).byteCount
    options.maximumMemory = whole - 2_000_000
    let error = #expect(throws: EngineError.self) { try Engine(model: Self.demo, options: options) }
    #expect(error?.status == .outOfMemory)
    let message = try #require(error?.message)
    let advice = try #require(message.firstMatch(of: /what would fit: a context of (\d+) tokens, or/))
    let context = try #require(Int(advice.1))
    #expect(context > 512 && context < 1024 && context % 16 == 0, "\(message)")
    #expect(message.contains("a context of 1024 tokens with keys and values in q8_0"), "\(message)")
    // The program itself grows a little between two measurements.
    options.contextLength = context - 64
    #expect(throws: Never.self) { try MemoryPlan(model: Self.demo, options: options).validate() }
    options.contextLength = context + 64
    #expect(throws: EngineError.self) { try MemoryPlan(model: Self.demo, options: options).validate() }

    options.maximumSequences = 4
    options.maximumMemory = whole + 8_000_000
    let several = #expect(throws: EngineError.self) { try MemoryPlan(model: Self.demo, options: options).validate() }
    #expect(several?.message.contains("what would fit: 2 sequences of") == true, "\(String(describing: several))")
    options.maximumMemory = 1_000_000
    let hopeless = #expect(throws: EngineError.self) { try Engine(model: Self.demo, options: options) }
    #expect(hopeless?.message.contains("without any context") == true)
  }

  @Test func adaptersAreRefusedToo() throws {
    var options = EngineOptions(threads: 1, contextLength: 64, maximumSequences: 1)
    options.maximumMemory = try Engine(model: Self.demo, options: options).memoryPlan.byteCount + 5_000_000
    let engine = try Engine(model: Self.demo, options: options)
    let error = #expect(throws: EngineError.self) {
      for name in ["clock", "dates", "roman", "sort", "numbers", "intent", "passive", "reverse"] {
        try engine.loadAdapter(name, from: TestPaths.package + "/Models/demo/experts/" + name)
      }
    }
    #expect(error?.status == .outOfMemory && !engine.adapters.isEmpty && engine.adapters.count < 8)
  }
}
