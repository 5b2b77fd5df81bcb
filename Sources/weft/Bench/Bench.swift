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
        weft bench --model base.gguf --adapter a=adapters/a --adapter b=adapters/b --sequences 8 --different
        weft bench --model base.gguf --adapter a=adapters/a --adapter b=adapters/b --switching
        weft bench --model base.gguf --context 16384
        weft bench --model base.gguf --adapters --resident 10000
        weft bench --model base.gguf --planner
      """)

  @Option(help: "A GGUF file or a Hugging Face folder.")
  var model: String
  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp("Answer with this PEFT folder or pack; repeatable.", valueName: "name=path[:weight]"))
  var adapters: [AdapterArgument] = []
  @Option(help: ArgumentHelp("Answer with this mixture of the adapters (default: all, side by side).", valueName: "text"))
  var mixture: String?
  @Option(help: "Threads.")
  var threads: Int?
  @Option(help: "How keys and values are stored (default: f16).")
  var kvType: EngineOptions.KVType?
  @Option(help: "Tokens of each prompt (default: 512).")
  var prefill: Int?
  @Option(help: "Tokens to generate for each sequence (default: 64).")
  var decode: Int?
  @Option(help: "Sequences that decode together, one token each in every step.")
  var sequences = 1
  @Flag(help: "Each sequence answers with one adapter: the first with the first, and so on, round and round.")
  var different = false
  @Option(help: "Measure decoding behind this many tokens, whose keys and values are computed once and not again.")
  var context: Int?
  @Flag(help: "Measure what a change from one adapter to another between two tokens costs.")
  var switching = false
  @Option(help: "Measured repetitions, after one that is not counted (default: 3).")
  var repetitions: Int?
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
    guard prefill ?? 1 >= 1, decode ?? 2 >= 2, repetitions ?? 1 >= 1 else {
      throw ValidationError("expected --prefill 1 or more, --decode 2 or more, --repetitions 1 or more")
    }
    guard sequences >= 1, context ?? 1 >= 1 else {
      throw ValidationError("expected --sequences 1 or more, --context 1 or more")
    }
    guard context == nil || prefill == nil else {
      throw ValidationError("expected --context, whose tokens are the prompt, or --prefill, not both")
    }
    guard !different || (adapters.count >= 2 && sequences >= 2 && mixture == nil) else {
      throw ValidationError("--different: expected two adapters or more, --sequences 2 or more, and no --mixture")
    }
    guard !switching || (adapters.count >= 2 && sequences == 1 && mixture == nil) else {
      throw ValidationError("--switching: expected two adapters or more, one sequence, and no --mixture")
    }
    guard resident >= 0, resident == 0 || measuresAdapters else {
      throw ValidationError("expected --resident 0 or more, beside --adapters")
    }
    if let option = optionOfOtherMeasurements {
      throw ValidationError(
        "\(option): expected without \(planner ? "--planner" : measuresAdapters ? "--adapters" : "--switching")")
    }
  }

  /// The first option that was given and that says nothing about what is measured.
  private var optionOfOtherMeasurements: String? {
    let isGrid = planner || measuresAdapters
    let given: [(name: String, isGiven: Bool)] = [
      ("--adapters", measuresAdapters && planner), ("--switching", switching && isGrid),
      ("--adapter", !adapters.isEmpty && isGrid), ("--mixture", mixture != nil && isGrid),
      ("--prefill", prefill != nil && isGrid), ("--decode", decode != nil && planner),
      ("--repetitions", repetitions != nil && (planner || switching)), ("--sequences", sequences != 1 && isGrid),
      ("--different", different && isGrid), ("--context", context != nil && isGrid),
      ("--reuse-prefixes", reusePrefixes && (isGrid || switching)),
    ]
    return given.first(where: \.isGiven)?.name
  }

  /// Tokens of each sequence, and pairs of switches.
  private var steps: Int { decode ?? 64 }

  func run() throws {
    if measuresAdapters {
      return try AdapterBench(
        model: model, threads: threads, kvType: kvType ?? .f16, decode: steps, repetitions: repetitions ?? 3,
        resident: resident, json: json
      ).run()
    }
    if planner {
      return try PlannerBench(model: model, threads: threads, kvType: kvType ?? .f16, json: json).run()
    }
    let speed = SpeedBench(
      prompt: context ?? prefill ?? 512, decode: steps, sequences: sequences, computesPromptOnce: context != nil)
    let switches = SwitchBench(prompt: speed.prompt, pairs: steps)
    let engine = try Engine(
      model: model,
      options: EngineOptions(
        threads: threads, contextLength: switching ? switches.contextLength : speed.contextLength, maximumSequences: sequences,
        maximumStepRows: max(512, sequences), kvType: kvType ?? .f16,
        reusesPrefixes: reusePrefixes || speed.computesPromptOnce))
    for adapter in adapters { try engine.loadAdapter(adapter.name, from: try path(of: adapter)) }
    let loaded = MemoryPlan.residentBytes ?? 0
    if switching {
      return report(try switches.run(engine, adapters.map(\.weighted)), engine)
    }
    let mixtures =
      different
      ? adapters.map { AdapterMixture([$0.weighted]) }
      : [try mixture.map { try AdapterMixture(parsing: $0) } ?? AdapterMixture(adapters.map(\.weighted))]
    let measured = try speed.run(engine, mixtures, repetitions: repetitions ?? 3)
    let activation = try ActivationBench.run(engine, mixtures[0])
    // Before adapters are read once more.
    let full = MemoryPlan.residentBytes ?? 0
    report(measured, engine, mixtures, activation, loading: try loadTimes(engine), loaded: loaded, full: full)
  }

  private func path(of adapter: AdapterArgument) throws -> String {
    guard let path = adapter.path else { throw ValidationError("--adapter: expected NAME=PATH, found \(adapter.name)") }
    return path
  }

  /// Milliseconds of reading an adapter until it could be installed, five times, the given ones in turn: files are in the page
  /// cache by now.
  private func loadTimes(_ engine: Engine) throws -> [Double] {
    guard !adapters.isEmpty else { return [] }
    let loader = engine.adapterLoader
    return try (0..<5).map { index in
      let adapter = adapters[index % adapters.count]
      let begin = ContinuousClock.now
      _ = try loader.prepare(adapter.name, from: path(of: adapter))
      return begin.elapsed * 1e3
    }
  }

  private func report(
    _ measured: SpeedBench.Measured, _ engine: Engine, _ mixtures: [AdapterMixture], _ activation: ActivationBench.Measured,
    loading: [Double], loaded: Int, full: Int
  ) {
    let planned = engine.memoryPlan.byteCount
    let prompt = context ?? prefill ?? 512
    if json {
      print(
        "{\"prefill_tokens_per_second\": \(measured.prefillSpeed), \"decode_tokens_per_second\": \(measured.decodeSpeed), "
          + "\"step_milliseconds\": \(measured.step * 1e3), \"prompt_tokens\": \(prompt), \"decode_tokens\": \(steps), "
          + "\"sequences\": \(sequences), \"context\": \(context.map { "\($0)" } ?? "null"), \"threads\": \(engine.model.threads), "
          + "\"isa\": \"\(engine.model.isa)\", \"adapters\": \(adapters.count), \"different\": \(different), "
          + "\"planned_bytes\": \(planned), \"load_milliseconds\": \(loading.isEmpty ? 0 : loading.median), "
          + "\"activate_microseconds\": \(activation.activate), \"reweight_microseconds\": \(activation.reweight.map { "\($0)" } ?? "null"), "
          + "\"loaded_bytes\": \(loaded), \"full_bytes\": \(full)}")
      return
    }
    print(title(engine))
    let count = sequences == 1 ? "" : "\(sequences) times "
    print("  prefill of \(count)\(prompt): \(Readable.decimal(measured.prefillSpeed, digits: 1)) tokens/s")
    print(
      "  decode of \(count)\(steps): \(Readable.decimal(measured.decodeSpeed, digits: 1)) tokens/s, "
        + "\(Readable.decimal(measured.step * 1e3, digits: 2)) ms a step")
    if !loading.isEmpty {
      print("  loading an adapter: \(Readable.decimal(loading.median, digits: 1)) ms")
      print(
        "  activating \(mixtures[0]): \(Readable.decimal(activation.activate, digits: 1)) µs, "
          + "with other weights: "
          + (activation.reweight.map { "\(Readable.decimal($0, digits: 1)) µs" } ?? "not possible"))
    }
    print(
      "  memory: \(Readable.bytes(planned)) planned, \(Readable.bytes(loaded)) loaded, "
        + "\(Readable.bytes(full)) with a full context")
  }

  private func report(_ measured: SwitchBench.Measured, _ engine: Engine) {
    if json {
      print(
        "{\"switch_microseconds\": \(measured.cost), \"switch_error_microseconds\": \(measured.error), "
          + "\"switch_call_microseconds\": \(measured.call), "
          + "\"step_milliseconds\": \(measured.step * 1e3), \"pairs\": \(steps), \"threads\": \(engine.model.threads), "
          + "\"isa\": \"\(engine.model.isa)\", \"adapters\": \(adapters.count)}")
      return
    }
    print(title(engine))
    print(
      "  changing the adapter between two tokens: \(Readable.decimal(measured.cost, digits: 1)) µs "
        + "(± \(Readable.decimal(measured.error, digits: 1))), "
        + "\(Readable.decimal(measured.call, digits: 1)) µs for the call, beside a step of \(Readable.decimal(measured.step * 1e3, digits: 2)) ms"
    )
  }

  private func title(_ engine: Engine) -> String {
    "\(model): \(Readable.count(engine.model.threads, "thread")), \(engine.model.isa), "
      + "\(Readable.count(adapters.count, "adapter"))\(different ? ", another for each sequence" : "")"
  }
}
