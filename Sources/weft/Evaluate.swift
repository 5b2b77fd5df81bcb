// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine

/// `weft eval`: do the experts help, and does the router find them?
struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval",
    abstract: "Compare base, experts, router and a mixture of all on questions with answers.",
    discussion: """
      Every file holds questions of one expert, which has the name of the file: JSON lines {"prompt": "...", "answer": "..."}. An \
      answer is right when it is exactly the one expected. Without files, the demo model's own questions are asked.

        weft eval
        weft eval --model base.gguf --adapter a=adapters/a --adapter b=adapters/b --router router.safetensors --data eval
        weft eval --model base.gguf --adapter merged=merged --only merged --data eval
      """)

  @Option(
    name: .customLong("data"),
    help: ArgumentHelp(
      "Questions: a folder with a NAME.jsonl per expert, or such a file; repeatable (default: the demo's).", valueName: "path"))
  var sources: [String] = []

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @OptionGroup(title: "Adapters")
  var adapters: AdapterFlags

  @OptionGroup(title: "Router")
  var router: RouterFlags

  @Option(
    help: ArgumentHelp(
      "Let only this mixture answer, on every file ({} in it stands for the file's expert), or only the 'router'.",
      valueName: "mixture"))
  var only: String?

  @Flag(help: "Print the loss beside every share: nats per token of the expected answers.")
  var loss = false

  @Option(help: "Ask only so many questions of every file.")
  var limit: Int?

  @Option(help: "Longest answer in tokens.")
  var maxTokens = 64

  @Option(help: "Questions that are answered at the same time.")
  var batch = 16

  func validate() throws {
    guard adapters.mixture == nil else {
      throw ValidationError("--mixture: expected --only in its place, for one way to answer")
    }
    if let only, only != EvaluationTable.Way.router.rawValue { try router.refuseWithoutChoice() }
    guard maxTokens >= 1, batch >= 1, limit ?? 1 >= 1 else {
      throw ValidationError("expected --max-tokens, --batch and --limit of 1 or more")
    }
  }

  func run() throws {
    let (engine, demo) = try model.open(EngineOptions(maximumSequences: batch), adapters)
    try router.load(into: engine, demo)
    let paths = try (sources.isEmpty ? demo.map { [$0.folder + "/eval"] } ?? [] : sources).flatMap(Evaluate.files)
    guard !paths.isEmpty else { throw EngineError(.invalidArgument, "--data: expected questions, found none") }
    let weights = Dictionary(adapters.named.map { ($0.name, $0.weight) }) { $1 }
    let experts = engine.adapters.map { WeightedAdapter($0.name, weight: weights[$0.name] ?? 1) }
    var table = EvaluationTable(hasRouter: engine.routerSummary != nil)
    if let only { table = EvaluationTable(ways: [only == EvaluationTable.Way.router.rawValue ? .router : .given]) }
    table.showsLoss = loss
    let clock = ContinuousClock()
    let begin = clock.now
    defer { Terminal.showProgress("") }
    for path in paths {
      let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
      let questions = Array(try Question.read(path).prefix(limit ?? .max))
      var row: [EvaluationTable.Way: Evaluation] = [:]
      for way in table.ways {
        guard let activation = try way.activation(expert: name, of: experts, router.activation, given: only ?? "", engine)
        else { continue }
        Terminal.showProgress("\(name): \(way.rawValue)")
        row[way] = try engine.evaluate(questions, activation: activation, maximumTokens: maxTokens)
      }
      table.rows.append((name, questions.count, row))
      Terminal.showProgress("")
      if table.rows.count == 1 { print(table.heading(paths)) }
      print(table.line(of: table.rows.count - 1, paths))
    }
    print(table.total(paths))
    Terminal.note("\(Readable.seconds((clock.now - begin) / .seconds(1)))")
  }

  /// The file itself, or the JSON lines files of a folder in order.
  private static func files(_ path: String) throws -> [String] {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw EngineError(.notFound, "\(path): expected a file or folder with questions, found none")
    }
    guard isFolder.boolValue else { return [path] }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.filter { $0.hasSuffix(".jsonl") }.sorted().map { path + "/" + $0 }
  }
}
