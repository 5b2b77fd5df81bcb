// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// `weft bench`: how fast one model is on this machine.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure prefill and decode speed of a model, alone and with adapters.",
    discussion: """
      Prints tokens per second: the median of several repetitions. `make bench` runs it on synthetic models of real shapes,
      beside llama.cpp when asked.

        weft bench --model base.gguf --threads 2
        weft bench --model base.gguf --adapter a=adapters/a --adapter b=adapters/b --json
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.")
  var model: String
  @Option(name: .customLong("adapter"), help: "An adapter to activate with weight 1, as NAME=PATH; repeatable.")
  var adapters: [String] = []
  @Option(help: "Threads.")
  var threads: Int?
  @Option(help: "Tokens of the prompt.")
  var prefill = 512
  @Option(help: "Tokens to generate.")
  var decode = 64
  @Option(help: "Measured repetitions, after one that is not counted.")
  var repetitions = 3
  @Flag(help: "One line of JSON.")
  var json = false

  func validate() throws {
    guard prefill >= 1, decode >= 2, repetitions >= 1 else {
      throw ValidationError("expected --prefill 1 or more, --decode 2 or more, --repetitions 1 or more")
    }
  }

  func run() throws {
    let engine = try Engine(
      model: model, options: EngineOptions(threads: threads, contextLength: prefill + decode + 1, maximumSequences: 1))
    var active: [WeightedAdapter] = []
    for text in adapters {
      let parts = text.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { throw ValidationError("--adapter: expected NAME=PATH, found \(text)") }
      try engine.loadAdapter(String(parts[0]), from: String(parts[1]))
      active.append(WeightedAdapter(String(parts[0])))
    }
    var prefillSpeeds: [Double] = []
    var decodeSpeeds: [Double] = []
    for repetition in 0...repetitions {
      // Any tokens will do: the time does not depend on them.
      let tokens = (0..<prefill).map { Int32(($0 * 7919 + 13) % engine.model.vocabularySize) }
      let result = try engine.generate(
        GenerationRequest(
          .tokens(tokens), activation: .mixture(active), sampling: .greedy, maximumTokens: decode + 1, ignoresEndTokens: true))
      if repetition == 0 { continue }
      prefillSpeeds.append(Double(prefill) / result.prefillSeconds)
      decodeSpeeds.append(result.tokensPerSecond)
    }
    let (fast, slow) = (median(prefillSpeeds), median(decodeSpeeds))
    if json {
      print(
        "{\"prefill_tokens_per_second\": \(fast), \"decode_tokens_per_second\": \(slow), \"threads\": \(engine.model.threads), "
          + "\"isa\": \"\(engine.model.isa)\", \"adapters\": \(active.count)}")
    } else {
      print("\(model): \(engine.model.threads) threads, \(engine.model.isa), \(active.count) adapters")
      print("prefill of \(prefill): \(rounded(fast)) tokens per second")
      print("decode of \(decode):  \(rounded(slow)) tokens per second")
    }
  }

  private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
  private func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
}
