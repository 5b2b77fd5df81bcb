// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftEngine

private let folder = TestPaths.package + "/Models/demo"

/// Routing on the demo model: its base, its experts and its router.
struct DemoRoutingTests {
  private func engine(sequences: Int = 8) throws -> Engine {
    let engine = try Engine(
      model: folder + "/base.gguf", options: EngineOptions(threads: 1, maximumSequences: sequences))
    for file in try FileManager.default.contentsOfDirectory(atPath: folder + "/experts") where file.hasSuffix(".weft") {
      try engine.loadAdapter(String(file.dropLast(5)), from: folder + "/experts/" + file)
    }
    try engine.loadRouter(from: folder + "/router.safetensors")
    return engine
  }

  private func request(_ text: String, _ activation: Activation, count: Int = 40) -> GenerationRequest {
    GenerationRequest(.messages([.user(text)]), activation: activation, sampling: .greedy, maximumTokens: count)
  }

  /// Together in one batch under different experts, and alone with the expert named: the same words.
  @Test func routedTogetherIsNamedAlone() throws {
    let engine = try engine()
    let questions = ["Write 58 in words.", "Hello!", "Write 1994 as a Roman numeral.", "Tell me a story about a cat."]
    let ids = try questions.map { try engine.submit(request($0, .routed)) }
    var results: [SequenceID: GenerationResult] = [:]
    while engine.step({ if case .finished(let id, let result) = $0 { results[id] = result } }) {}
    for (question, id) in zip(questions, ids) {
      let result = try #require(results[id])
      #expect(result.mixtures.count == 1)
      let adapters = try #require(result.mixtures.first).adapters
      #expect(try adapters.map(\.name) == engine.route(question).map(\.name).sorted())
      #expect(try engine.generate(request(question, .mixture(.init(adapters)))).tokens == result.tokens, "\(question)")
    }
    #expect(results[ids[0]]?.mixtures.first?.adapters.map(\.name) == ["numbers"])
    #expect(results[ids[1]]?.mixtures.first?.adapters == [])
    #expect(results[ids[2]]?.mixtures.first?.adapters.map(\.name) == ["roman"])
  }

  /// Choosing again after a sentence keeps everything before it, and changes adapters only where a sentence ended.
  @Test func perSentenceKeepsWhatWasSaid() throws {
    let engine = try engine()
    let once = try engine.generate(request("Tell me a story about a king.", .routed, count: 160))
    let again = try engine.generate(request("Tell me a story about a king.", .routedPerSentence, count: 160))
    #expect(again.text.contains(". "), "several sentences, or this shows nothing: \(again.text)")
    #expect(again.mixtures.first?.adapters == once.mixtures.first?.adapters)
    let kept = again.mixtures.dropFirst().first?.tokenCount ?? again.tokens.count
    #expect(again.tokens.prefix(kept) == once.tokens.prefix(kept))
    for change in again.mixtures.dropFirst() {
      let before = try engine.detokenize(Array(again.tokens.prefix(change.tokenCount)))
      #expect(before.last.map { ".!?\n\"".contains($0) } == true, "\(before)")
    }
  }

  /// What acts beside the router's choices acts always, also where it chooses nobody.
  @Test func companionsActBesideEveryChoice() throws {
    let engine = try engine()
    try engine.loadAdapter("shared", from: folder + "/experts/reverse.weft")
    let beside = [WeightedAdapter("shared", weight: 0.1)]
    try engine.loadRouter(from: folder + "/router.safetensors", beside: beside)
    for question in ["Write 58 in words.", "Hello!"] {
      let chosen = try engine.route(question)
      #expect(chosen.first == beside.first)
      let result = try engine.generate(request(question, .routed))
      #expect(Set(try #require(result.mixtures.first).adapters.map(\.name)) == Set(chosen.map(\.name)))
      #expect(try engine.generate(request(question, .mixture(.init(chosen)))).tokens == result.tokens)
    }
    for companions in [[WeightedAdapter("roman")], [WeightedAdapter("absent")]] {
      #expect(throws: EngineError.self) { try engine.loadRouter(from: folder + "/router.safetensors", beside: companions) }
    }
    #expect(try engine.route("Hello!") == beside, "a refused router changes nothing")
    try engine.unloadAdapter("shared")
    #expect(throws: EngineError.self) { try engine.submit(request("Hello!", .routed)) }
  }

  @Test func aRouterForAnotherBaseIsRefused() throws {
    let other = try Engine(model: TestPaths.goldens + "/logits/gqa-tied", options: EngineOptions(threads: 1))
    #expect(throws: EngineError.self) { try other.loadRouter(from: folder + "/router.safetensors") }
    #expect(other.routerSummary == nil)
  }

  /// A sequence whose expert went away before the router chose it ends alone.
  @Test func aMissingExpertFailsOneSequence() throws {
    let engine = try engine()
    let lost = try engine.submit(request("Write 58 in words.", .routed))
    let fine = try engine.submit(request("Write 1994 as a Roman numeral.", .routed))
    try engine.unloadAdapter("numbers")
    var results: [SequenceID: GenerationResult] = [:]
    while engine.step({ if case .finished(let id, let result) = $0 { results[id] = result } }) {}
    #expect(results[lost]?.finishReason == .failed && results[lost]?.error?.status == .notFound)
    #expect(results[fine]?.finishReason == .endToken && results[fine]?.text == "MCMXCIV")
    #expect(throws: EngineError.self) { try engine.submit(request("Hello!", .routed)) }
  }
}
