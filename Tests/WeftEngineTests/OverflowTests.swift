// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// Numbers that grow too large are an error of the request that makes them, and of no other.
struct OverflowTests {
  private static let prompt: [Int32] = [1, 5, 9, 2, 44, 17]
  private static let tooStrong: AdapterMixture = [WeightedAdapter("all", weight: 3e38)]

  private func engine(_ kvType: EngineOptions.KVType) throws -> Engine {
    let engine = try Engine(
      model: GenerationTests.model,
      options: EngineOptions(threads: 1, contextLength: 100, maximumSequences: 2, kvType: kvType))
    try engine.loadAdapter("all", from: GenerationTests.adapter("all"))
    return engine
  }

  private func request(_ activation: Activation, _ sampling: SamplingOptions = .greedy) -> GenerationRequest {
    GenerationRequest(
      .tokens(Self.prompt), activation: activation, sampling: sampling, maximumTokens: 12, ignoresEndTokens: true)
  }

  /// In one batch with it, and then in the memory that it leaves behind.
  @Test(arguments: EngineOptions.KVType.allCases) func othersGoOn(kvType: EngineOptions.KVType) throws {
    let expected = try engine(kvType).generate(request(.base)).tokens
    let engine = try engine(kvType)
    for sampling in [SamplingOptions.greedy, SamplingOptions(temperature: 1, seed: 1)] {
      let ids = try [request(.mixture(Self.tooStrong), sampling), request(.base)].map { try engine.submit($0) }
      var results: [SequenceID: GenerationResult] = [:]
      while engine.step({ if case .finished(let id, let result) = $0 { results[id] = result } }) {}
      let failed = try #require(results[ids[0]])
      #expect(failed.finishReason == .failed && failed.tokens.isEmpty)
      #expect(failed.error?.status == .unsupported && failed.error?.message.contains("found NaN") == true)
      #expect(results[ids[1]]?.tokens == expected)
      #expect(try engine.generate(request(.base)).tokens == expected)
    }
  }

  @Test func scoresAreRefused() throws {
    let engine = try engine(.f32)
    #expect(throws: EngineError.self) { try engine.logits(of: Self.prompt, adapters: Self.tooStrong) { _, _ in } }
    #expect(throws: EngineError.self) { try engine.logLikelihoods(of: Self.prompt, adapters: Self.tooStrong) }
    #expect(try engine.logLikelihoods(of: Self.prompt).allSatisfy(\.isFinite))
  }
}
