// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftEngine

/// Adapters that begin where their invocation stands (aLoRA), on a golden base: the base's keys and values stay usable.
struct InvocationTests {
  private static let base = TestPaths.goldens + "/families/bases/llama"
  private static let common: [Int32] = (0..<40).map { $0 * 11 % 60 + 20 }

  private func engine(reuses: Bool = true, rows: Int = 64, folder: TemporaryFolder? = nil) throws -> Engine {
    let engine = try Engine(
      model: Self.base,
      options: EngineOptions(threads: 1, maximumSequences: 3, maximumStepRows: rows, kvType: .f32, reusesPrefixes: reuses))
    try engine.loadAdapter("invoked", from: TestPaths.goldens + "/families/lora-alora")
    try engine.loadAdapter("plain", from: TestPaths.goldens + "/families/lora")
    if let folder { try engine.loadAdapter("other", from: folder.path) }
    return engine
  }

  /// The same adapter with other invocation tokens.
  private func adapter(invokedBy tokens: [Int]) throws -> TemporaryFolder {
    let (folder, source) = (try TemporaryFolder(), TestPaths.goldens + "/families/lora-alora/")
    try folder.write(readBytes(source + "adapter_model.safetensors"), to: "adapter_model.safetensors")
    let config = String(decoding: try readBytes(source + "adapter_config.json"), as: UTF8.self)
    let changed = config.replacing(/"alora_invocation_tokens": \[[^\]]*\]/, with: "\"alora_invocation_tokens\": \(tokens)")
    try folder.write(changed.utf8, to: "adapter_config.json")
    return folder
  }

  private func request(_ prompt: [Int32], _ mixture: AdapterMixture, count: Int = 8) -> GenerationRequest {
    GenerationRequest(
      .tokens(prompt), activation: .mixture(mixture), sampling: .greedy, logProbabilities: 2, maximumTokens: count,
      ignoresEndTokens: true)
  }

  private func logits(_ engine: Engine, _ tokens: [Int32], _ mixture: AdapterMixture) throws -> [[Float]] {
    var rows: [[Float]] = []
    try engine.logits(of: tokens, adapters: mixture) { rows.append(Array($1)) }
    return rows
  }

  @Test(arguments: ["lora-alora", "lora-alora-absent"]) func logitsAreThoseOfPeft(name: String) throws {
    let golden = try Golden("families/\(name)/expected.safetensors")
    let engine = try engine()
    try engine.loadAdapter("golden", from: TestPaths.goldens + "/families/" + name)
    let tokens = try golden.integers("tokens").map { Int32($0) }
    // Measured: 6.8e-7, on all tiers.
    #expect(relativeError(try logits(engine, tokens, ["golden"]).flatMap { $0 }, try golden.floats("logits")) <= 1.4e-6)
  }

  /// Before the invocation nothing of it is there, from its first token on all of it, and with other adapters beside it.
  @Test func itBeginsWithTheLastInvocation() throws {
    let engine = try engine(folder: adapter(invokedBy: [20]))
    let tokens: [Int32] = [30, 7, 8, 31, 7, 8, 32, 33]
    let (base, invoked) = (try logits(engine, tokens, []), try logits(engine, tokens, ["invoked"]))
    #expect(invoked[..<4] == base[..<4])
    for row in 4..<8 { #expect(invoked[row] != base[row]) }
    let (plain, both) = (try logits(engine, tokens, ["plain"]), try logits(engine, tokens, ["plain", "invoked"]))
    #expect(both[..<4] == plain[..<4] && both[4] != plain[4])
    #expect(try logits(engine, tokens, ["other"]) == base, "an invocation that is not there")
    // The whole prompt, when it begins with the invocation.
    #expect(try logits(engine, [7, 8, 9], ["invoked"])[0] != logits(engine, [7, 8, 9], [])[0])
    // In steps of one row.
    #expect(try logits(self.engine(rows: 3), tokens, ["plain", "invoked"]) == both)
  }

  @Test func theBasesKeysAndValuesAreReused() throws {
    let (engine, alone) = (try engine(), try engine(reuses: false))
    _ = try engine.generate(request(Self.common, []))
    _ = try engine.generate(request(Self.common, ["plain"]))
    let prompt = Self.common + [7, 8, 50, 51]
    let cases: [(AdapterMixture, Int)] = [
      (["invoked"], 32), (["plain", "invoked"], 32), (["invoked"], 32), ([.init("invoked", weight: 0.5)], 32),
    ]
    var answers: [[Int32]] = []
    for (mixture, reused) in cases {
      let result = try engine.generate(request(prompt, mixture))
      #expect(result.reusedTokenCount == reused, "\(mixture)")
      let expected = try alone.generate(request(prompt, mixture))
      #expect(
        result.tokens == expected.tokens && result.logProbabilities.map(\.chosen) == expected.logProbabilities.map(\.chosen))
      answers.append(result.tokens)
    }
    #expect(Set(answers).count == 3, "\(answers)")
    // From the invocation on blocks are its own: the base does not get them.
    let longer = prompt + answers[0]
    #expect(try engine.generate(request(longer, [])).reusedTokenCount == 32)
    #expect(try engine.generate(request(longer, ["invoked"])).reusedTokenCount == 48)
  }

  /// Two that are invoked at different places: three mixtures in one prompt, two segments a step.
  @Test func severalInvocations() throws {
    let folder = try adapter(invokedBy: [61, 62])
    let prompt: [Int32] = [21, 22, 7, 8, 23, 61, 62, 24, 25]
    let mixture: AdapterMixture = [.init("invoked", weight: 0.5), "other"]
    let together = try engine(folder: folder)
    let rows = try logits(together, prompt, mixture)
    #expect(try rows[..<2] == logits(together, prompt, [])[..<2])
    #expect(try rows[..<5] == logits(together, prompt, [.init("invoked", weight: 0.5)])[..<5])
    let expected = try together.generate(request(prompt, mixture))
    for count in [3, 4, 5, 64] {
      let engine = try engine(reuses: count % 2 == 0, rows: count, folder: folder)
      #expect(try logits(engine, prompt, mixture) == rows)
      let ids = try (0..<3).map { _ in try engine.submit(request(prompt, mixture)) }
      var results: [SequenceID: GenerationResult] = [:]
      while engine.step({ if case .finished(let id, let result) = $0 { results[id] = result } }) {}
      for id in ids { #expect(results[id]?.tokens == expected.tokens) }
    }
  }

  /// What is invoked in the middle of an answer was invoked by the prompt: the offset stays.
  @Test func answersDoNotInvoke() throws {
    let engine = try engine()
    let base = try engine.generate(request([30, 31, 32], [], count: 20))
    let folder = try adapter(invokedBy: base.tokens[3...4].map { Int($0) })
    try engine.loadAdapter("other", from: folder.path)
    let result = try engine.generate(request([30, 31, 32], ["other"], count: 20))
    #expect(result.tokens == base.tokens)
    #expect(
      try engine.generate(request([30, 31, 32] + base.tokens[..<5], ["other"], count: 8)).tokens != Array(base.tokens[5..<13]))
  }
}
