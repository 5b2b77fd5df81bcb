// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftTensors
import WeftEngine
import WeftTokenizers

/// Filters against those of transformers and llama.cpp: `tools/make_sampler_goldens.py`.
struct SamplerGoldenTests {
  struct File<Case: Decodable>: Decodable { let cases: [Case] }

  struct Options: Decodable {
    struct DRY: Decodable {
      let multiplier: Float
      let base: Float
      let allowedLength: Int
      let window: Int?
      let sequenceBreakers: [String]
    }
    struct Mirostat: Decodable {
      let targetSurprise: Float
      let learningRate: Float
    }
    let logitBias: [String: Float]?
    let repetitionPenalty, frequencyPenalty, presencePenalty: Float?
    let repetitionWindow, topK: Int?
    let typicalP, topP, minP, xtc, temperature: Float?
    let dry: DRY?
    let mirostat: Mirostat?

    /// What is not named is off.
    var sampling: SamplingOptions {
      var options = SamplingOptions(temperature: temperature ?? 1, topK: topK ?? 0, topP: topP ?? 1, minP: minP ?? 0)
      for (id, bias) in logitBias ?? [:] { options.logitBias[Int32(id) ?? -1] = bias }
      options.repetitionPenalty = repetitionPenalty ?? 1
      options.frequencyPenalty = frequencyPenalty ?? 0
      options.presencePenalty = presencePenalty ?? 0
      options.repetitionWindow = repetitionWindow ?? 64
      options.typicalP = typicalP ?? 1
      options.xtc = xtc.map { XTCOptions(probability: 1, threshold: $0) }
      options.dry = dry.map {
        DRYOptions(
          multiplier: $0.multiplier, base: $0.base, allowedLength: $0.allowedLength, window: $0.window,
          sequenceBreakers: $0.sequenceBreakers)
      }
      options.mirostat = mirostat.map { MirostatOptions(targetSurprise: $0.targetSurprise, learningRate: $0.learningRate) }
      return options
    }
  }

  private func cases<Case: Decodable>(_ name: String, _: Case.Type) throws -> [Case] {
    let bytes = try readBytes(TestPaths.goldens + "/sampling/\(name).json")
    let cases = try JSONDecoder().decode(File<Case>.self, from: Data(bytes)).cases
    try #require(!cases.isEmpty)
    return cases
  }

  /// The largest difference of probabilities; infinite when other tokens were kept.
  private func difference(_ found: [Int32: Double], _ expected: [String: Double]) -> Double {
    guard Set(found.keys.map { "\($0)" }) == Set(expected.keys) else { return .infinity }
    return found.map { abs($0.value - (expected["\($0.key)"] ?? 0)) }.max() ?? 0
  }

  @Test(arguments: ["transformers", "llama"]) func filtersKeepWhatOthersKeep(name: String) throws {
    struct Case: Decodable {
      let options: Options
      let logits: [Float]
      let history: [Int32]
      let kept: [String: Double]
    }
    var largest = 0.0
    for test in try cases(name, Case.self) {
      let sampler = Sampler(vocabularySize: test.logits.count, maximumHistory: 64, kernels: Kernels(isa: .scalar))
      let options = try test.options.sampling.validated()
      var state = SamplingState(options, seed: 1)
      var logits = test.logits
      let kept = logits.withUnsafeMutableBufferPointer {
        sampler.distribution($0, history: test.history, options, &state)
      }
      // transformers looks for repetitions everywhere; the histories are shorter than the window.
      let error = difference(kept, test.kept)
      #expect(error.isFinite, "\(test.options): \(kept.keys.sorted()) instead of \(test.kept.keys.sorted())")
      largest = max(largest, error)
    }
    // Measured 1.3e-8: the goldens have eight digits.
    #expect(largest <= 2.6e-8)
  }

  @Test(.needsSharedData) func repetitionsCostWhatTheyCostElsewhere() throws {
    struct Case: Decodable {
      let vocabulary: String
      let options: Options
      let history: [Int32]
      let changes: [String: Double]
    }
    let tokenizers = ["stories260K": try Vocabularies.stories(), "demo": try Vocabularies.demo()]
    var largest = 0.0
    for test in try cases("dry", Case.self) {
      let tokenizer = try #require(tokenizers[test.vocabulary])
      let sampler = Sampler(vocabularySize: tokenizer.vocabularySize, maximumHistory: 128, kernels: Kernels(isa: .scalar))
      let options = test.options.sampling
      let breakers = SequenceBreakers(options.dry?.sequenceBreakers ?? [], tokenizer)
      var state = SamplingState(options, seed: 1, breakers: breakers)
      var logits = [Float](repeating: 0, count: tokenizer.vocabularySize)
      _ = logits.withUnsafeMutableBufferPointer { sampler.distribution($0, history: test.history, options, &state) }
      let changes = Dictionary(uniqueKeysWithValues: logits.enumerated().filter { $0.element != 0 })
      #expect(Set(changes.keys.map { "\($0)" }) == Set(test.changes.keys), "\(test)")
      for (id, change) in changes {
        let expected = test.changes["\(id)"] ?? 0
        largest = max(largest, abs(Double(change) - expected) / max(1, abs(expected)))
      }
    }
    // Measured 1.1e-7: powers in single precision.
    #expect(largest <= 2.2e-7)
  }

  @Test func mirostatFollowsTheReference() throws {
    struct Case: Decodable {
      struct Step: Decodable {
        let logits: [Float]
        let selected: Int32
        let kept: [String: Double]
      }
      let options: Options
      let steps: [Step]
    }
    var largest = 0.0
    for test in try cases("mirostat", Case.self) {
      let options = test.options.sampling
      let mirostat = try #require(options.mirostat)
      var state = SamplingState(options, seed: 1)
      for (index, step) in test.steps.enumerated() {
        let sampler = Sampler(vocabularySize: step.logits.count, maximumHistory: 8, kernels: Kernels(isa: .scalar))
        var logits = step.logits
        let kept = logits.withUnsafeMutableBufferPointer { sampler.distribution($0, history: [], options, &state) }
        let error = difference(kept, step.kept)
        #expect(error.isFinite, "\(mirostat), step \(index)")
        largest = max(largest, error)
        state.observe(Float(-log2(kept[step.selected] ?? 0)), mirostat)
      }
    }
    // Measured 1.4e-8.
    #expect(largest <= 2.8e-8)
  }
}
