// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// A plan says what an engine then takes. `weftTests` compare it with what the system measures, and refuse what does not fit:
/// that needs processes of their own.
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
    let path = TestPaths.package + "/Models/demo/experts/roman.weft"
    let plan = try MemoryPlan(model: Self.demo, adapters: [("roman", path)])
    let engine = try Engine(model: Self.demo)
    try engine.loadAdapter("roman", from: path)
    #expect(plan.items.last == engine.memoryPlan.items.last && plan.items.last?.name == "adapter roman")
    try engine.loadAdapter("roman", from: path)
    #expect(engine.memoryPlan.items.filter { $0.name == "adapter roman" }.count == 1)
    try engine.unloadAdapter("roman")
    #expect(bytes(engine.memoryPlan, "adapter") == 0)
  }
}
