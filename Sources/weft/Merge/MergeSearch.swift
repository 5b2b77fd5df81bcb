// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine
import WeftFusion

/// `weft merge search`: weights found from data.
struct MergeSearch: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "search",
    abstract: "Find the weights of a mixture from data, and merge with them.",
    discussion: """
      adamerging asks prompts alone and looks for the weights with which the model is surest of its answers; lorahub looks for the \
      least loss on few questions with answers; soup takes the adapters whose mean has the least loss, the best one first. The model \
      is asked again and again: some ten to twenty short questions of each task are enough. What is printed is a mixture as --mixture \
      reads it. With --output the adapters are merged with these weights: exactly, with all their ranks together, or to --rank.

        weft merge search --method adamerging --data prompts.jsonl --model base.gguf a=adapters/a b=adapters/b
        weft merge search --method soup --data few.jsonl --model base.gguf a=adapters/a b=adapters/b --rank 16 --output merged
      """)

  @Option(help: "adamerging, lorahub or soup.")
  var method: MixtureSearch.Method

  @Option(
    name: .customLong("data"),
    help: ArgumentHelp(
      "JSON lines {\"prompt\": ..., \"answer\": ...}, for adamerging without answers; repeatable.", valueName: "file"))
  var data: [String]

  @Option(help: "Use only so many lines of every file.")
  var limit: Int?

  @Option(
    name: [.long, .customShort("m")],
    help: ArgumentHelp("A GGUF file or a Hugging Face folder (default: the demo model).", valueName: "path"))
  var model: String?

  @Option(help: "How often all questions are asked, at most (default: 100; a soup asks twice per adapter).")
  var evaluations: Int?

  @Option(help: "Groups of layers with weights of their own.")
  var layerGroups = 1

  @Option(help: "For adamerging, so many first tokens of each answer count (default: 8).")
  var maxTokens: Int?

  @Option(help: "Same seed, same questions: the same mixture.")
  var seed: UInt64 = 0

  @Option(name: [.long, .customShort("t")], help: "Threads (default: as many as processors).")
  var threads: Int?

  @Option(help: "Rank of the merged adapter (default: all ranks together).")
  var rank: Int?

  @Option(help: ArgumentHelp("The folder or .weft file to write.", valueName: "path"))
  var output: String?

  @Argument(
    help: ArgumentHelp("Adapters; NAME alone means an expert of the demo model, none all of these.", valueName: "name=path"))
  var adapters: [AdapterArgument] = []

  func validate() throws {
    guard limit ?? 1 >= 1, rank ?? 1 >= 1 else { throw ValidationError("expected --limit and --rank of 1 or more") }
    guard rank == nil || output != nil else { throw ValidationError("--rank: expected --output beside it") }
    guard !data.isEmpty else { throw ValidationError("expected --data") }
    guard maxTokens == nil || method == .adamerging else {
      throw ValidationError("--max-tokens: expected --method adamerging, found \(method.rawValue)")
    }
    guard evaluations == nil || method != .soup else {
      throw ValidationError("--evaluations: expected another method, found a soup, which asks twice per adapter")
    }
    if let adapter = adapters.first(where: { $0.weight != 1 }) {
      throw ValidationError("\(adapter.name): expected no weight, as weights are looked for, found \(adapter.weight)")
    }
  }

  func run() throws {
    var questions: [Question] = []
    for path in data {
      questions += try Question.read(path, requiresAnswers: method != .adamerging).prefix(limit ?? .max)
    }
    let demo = model == nil ? try DemoModel.find() : nil
    let sources = try sources(demo)
    let path = model ?? demo?.model ?? ""
    Terminal.showProgress("loading \(path)")
    defer { Terminal.showProgress("") }
    let engine = try Engine(model: path, options: EngineOptions(threads: threads, maximumSequences: 32))
    for source in sources { try engine.loadAdapter(source.name, from: source.path) }
    let search = MixtureSearch(
      method, evaluations: evaluations ?? 100, layerGroups: layerGroups, maximumTokens: maxTokens ?? 8, seed: seed)
    let result = try engine.searchMixture(of: sources.map(\.name), on: questions, search) { found in
      Terminal.showProgress(
        "\(Readable.count(found.evaluationCount, "try")), \(MergeSearch.value(found.value)): \(found.mixture.readable)")
    }
    Terminal.showProgress("")
    print(result.mixture.adapters.isEmpty ? "base" : "\(result.mixture)")
    Terminal.note(
      "\(method == .adamerging ? "entropy" : method == .lorahub ? "loss and penalty" : "loss") "
        + "\(MergeSearch.value(result.startValue)) at first, \(MergeSearch.value(result.value)) now, "
        + "\(result.evaluationCount) tries of \(Readable.count(questions.count, "question"))")
    if let output { try write(result.mixture, sources, engine, to: output) }
  }

  private static func value(_ value: Double) -> String { Readable.decimal(value, digits: 4) }

  private func sources(_ demo: DemoModel?) throws -> [(name: String, path: String)] {
    if adapters.isEmpty, let demo { return demo.experts }
    return try adapters.map { argument in
      if let path = argument.path { return (argument.name, path) }
      guard let expert = demo?.experts.first(where: { $0.name == argument.name }) else {
        throw EngineError(.invalidArgument, "adapters: expected NAME=PATH, found '\(argument.name)'")
      }
      return expert
    }
  }

  /// Merges what has a weight, layer by layer where there are groups.
  private func write(
    _ mixture: AdapterMixture, _ sources: [(name: String, path: String)], _ engine: Engine, to output: String
  ) throws {
    guard !mixture.adapters.isEmpty else {
      throw EngineError(.invalidArgument, "--output: expected adapters with weights other than 0, found none that helps")
    }
    do throws(MergeError) {
      let base = try MergeRun.base(engine.model.path)
      var tasks: [MergeSource] = []
      for adapter in mixture.adapters {
        guard let source = sources.first(where: { $0.name == adapter.name }) else { continue }
        var parameters = MergeParameters()
        if !adapter.places.isEmpty {
          // What is outside of layers first: of several entries that fit, the first counts.
          for name in ["lm_head", "embed"] { parameters.add(MergeParameter.weightName, .init([adapter.weight], filter: name)) }
          let weights = (0..<engine.model.layerCount).map { layer in
            adapter.places.first { $0.layers.contains { $0.contains(layer) } }?.weight ?? adapter.weight
          }
          parameters.add(MergeParameter.weightName, .init(weights))
        }
        tasks.append(
          try MergeSource(reading: source.path, name: source.name, weight: adapter.weight, parameters: parameters, base: base))
      }
      let merged = try AdapterMerge(method: .named("cat"), rank: rank)(tasks, base: base)
      if output.lowercased().hasSuffix(".weft") {
        try merged.write(pack: output, name: MergeRun.memberName(output))
      } else {
        try merged.write(folder: output)
      }
      print("\(output): \(Readable.count(merged.modules.count, "module")), rank \(merged.rank ?? 0)")
    } catch { throw EngineError(merge: error) }
  }
}
