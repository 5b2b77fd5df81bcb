// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// `weft bench`: how fast one model is on this machine.
struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure prefill and decode speed of a model, alone and with adapters.",
    discussion: """
      Prints tokens per second: the median of several repetitions; and the memory of the process, after loading and after the \
      context was full, beside what `weft inspect --plan` says. `make bench` runs it on synthetic models of real shapes, beside \
      llama.cpp when asked.

        weft bench --model base.gguf --threads 2
        weft bench --model base.gguf --adapter a=adapters/a --adapter b=adapters/b --json
        weft bench --model base.gguf --adapters --resident 10000
        weft bench --model base.gguf --planner
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.")
  var model: String
  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp("Answer with this PEFT folder; repeatable.", valueName: "name=path[:weight]"))
  var adapters: [AdapterArgument] = []
  @Option(help: ArgumentHelp("Answer with this mixture of the adapters (default: all, side by side).", valueName: "text"))
  var mixture: String?
  @Option(help: "Threads.")
  var threads: Int?
  @Option(help: "How keys and values are stored (default: f16).")
  var kvType: EngineOptions.KVType?
  @Option(help: "Tokens of the prompt.")
  var prefill = 512
  @Option(help: "Tokens to generate.")
  var decode = 64
  @Option(help: "Measured repetitions, after one that is not counted.")
  var repetitions = 3
  @Flag(help: "Let repetitions take over the keys and values of the prompt, to see what that saves.")
  var reusePrefixes = false
  @Flag(
    name: .customLong("adapters"),
    help: "Measure adapters of random numbers instead: bytes, and cost of 1, 4 and 16 active ones, by type and rank.")
  var measuresAdapters = false
  @Option(help: "With --adapters: hold this many ternary ones of rank 8 on q and v in memory, and print what they take.")
  var resident = 0
  @Flag(help: "Measure adapters beside the base, as one, and fused, in a grid of cases, and what planning chooses there.")
  var planner = false
  @Flag(help: "One line of JSON.")
  var json = false

  func validate() throws {
    guard prefill >= 1, decode >= 2, repetitions >= 1 else {
      throw ValidationError("expected --prefill 1 or more, --decode 2 or more, --repetitions 1 or more")
    }
    guard resident >= 0, resident == 0 || measuresAdapters else {
      throw ValidationError("expected --resident 0 or more, beside --adapters")
    }
    guard !measuresAdapters || adapters.isEmpty else {
      throw ValidationError("expected --adapters, which makes its own, or --adapter, not both")
    }
  }

  func run() throws {
    if measuresAdapters {
      return try AdapterBench(
        model: model, threads: threads, kvType: kvType ?? .f16, decode: decode, repetitions: repetitions, resident: resident,
        json: json
      ).run()
    }
    if planner {
      return try PlannerBench(model: model, threads: threads, kvType: kvType ?? .f16, json: json).run()
    }
    let engine = try Engine(
      model: model,
      options: EngineOptions(
        threads: threads, contextLength: prefill + decode + 1, maximumSequences: 1, kvType: kvType ?? .f16,
        reusesPrefixes: reusePrefixes))
    for adapter in adapters { try engine.loadAdapter(adapter.name, from: try path(of: adapter)) }
    let active = try mixture.map { try AdapterMixture(parsing: $0) } ?? AdapterMixture(adapters.map(\.weighted))
    let loaded = MemoryPlan.residentBytes ?? 0
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
    let (prefillSpeed, decodeSpeed) = (median(prefillSpeeds), median(decodeSpeeds))
    let activation = try activationTimes(engine, active)
    let (planned, full) = (engine.memoryPlan.byteCount, MemoryPlan.residentBytes ?? 0)
    let loading = try loadTimes(engine)
    if json {
      print(
        "{\"prefill_tokens_per_second\": \(prefillSpeed), \"decode_tokens_per_second\": \(decodeSpeed), \"threads\": \(engine.model.threads), "
          + "\"isa\": \"\(engine.model.isa)\", \"adapters\": \(adapters.count), \"planned_bytes\": \(planned), "
          + "\"load_milliseconds\": \(loading.isEmpty ? 0 : median(loading)), "
          + "\"activate_microseconds\": \(activation.activate), \"reweight_microseconds\": \(activation.reweight.map { "\($0)" } ?? "null"), "
          + "\"loaded_bytes\": \(loaded), \"full_bytes\": \(full)}")
    } else {
      let threads = Readable.count(engine.model.threads, "thread")
      print("\(model): \(threads), \(engine.model.isa), \(Readable.count(adapters.count, "adapter"))")
      print("  prefill of \(prefill): \(Readable.decimal(prefillSpeed, digits: 1)) tokens/s")
      print("  decode of \(decode): \(Readable.decimal(decodeSpeed, digits: 1)) tokens/s")
      if !loading.isEmpty {
        print("  loading an adapter: \(Readable.decimal(median(loading), digits: 1)) ms")
        print(
          "  activating \(active): \(Readable.decimal(activation.activate, digits: 1)) µs, "
            + "with other weights: "
            + (activation.reweight.map { "\(Readable.decimal($0, digits: 1)) µs" } ?? "not possible"))
      }
      print(
        "  memory: \(Readable.bytes(planned)) planned, \(Readable.bytes(loaded)) loaded, "
          + "\(Readable.bytes(full)) with a full context")
    }
  }

  private func path(of adapter: AdapterArgument) throws -> String {
    guard let path = adapter.path else { throw ValidationError("--adapter: expected NAME=PATH, found \(adapter.name)") }
    return path
  }

  /// Milliseconds of reading each adapter, five times, until it could be installed: files are in the page cache by now.
  private func loadTimes(_ engine: Engine) throws -> [Double] {
    let loader = engine.adapterLoader
    var times: [Double] = []
    for adapter in adapters {
      for _ in 0..<5 {
        let begin = ContinuousClock.now
        _ = try loader.prepare(adapter.name, from: path(of: adapter))
        let (seconds, attoseconds) = begin.duration(to: .now).components
        times.append(Double(seconds) * 1e3 + Double(attoseconds) * 1e-15)
      }
    }
    return times
  }

  /// Microseconds of activating a mixture in a sequence that had none, and of giving it other weights there; nil for a mixture
  /// that acts fully or not at all.
  private func activationTimes(_ engine: Engine, _ mixture: AdapterMixture) throws -> (activate: Double, reweight: Double?) {
    let id = try engine.submit(GenerationRequest(.tokens([0])))
    var other = mixture
    for level in other.levels.indices {
      for index in other.levels[level].indices {
        other.levels[level][index].weight *= 0.5
        for place in other.levels[level][index].places.indices { other.levels[level][index].places[place].weight *= 0.5 }
      }
    }
    func microseconds(_ mixture: AdapterMixture) throws -> Double {
      let begin = ContinuousClock.now
      try engine.activate(.mixture(mixture), for: id)
      let (seconds, attoseconds) = begin.duration(to: .now).components
      return Double(seconds) * 1e6 + Double(attoseconds) * 1e-12
    }
    var times: (activate: [Double], reweight: [Double]) = ([], [])
    for _ in 0..<1000 {
      try engine.activate(.base, for: id)
      times.activate.append(try microseconds(mixture))
      if let time = try? microseconds(other) { times.reweight.append(time) }
    }
    engine.cancel(id)
    engine.step { _ in }
    return (median(times.activate), times.reweight.isEmpty ? nil : median(times.reweight))
  }

  private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
