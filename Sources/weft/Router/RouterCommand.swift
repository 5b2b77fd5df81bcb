// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// `weft router`: make, measure and question routers.
struct RouterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "router",
    abstract: "Train, measure and question a router.",
    discussion: """
      A router reads a prompt with the base model and chooses adapters with weights. It learns from labelled prompts: JSON lines \
      {"prompt": "...", "adapter": "name"}, where 'none' stands for the base alone.

        weft router train --model base.gguf --data prompts.jsonl --output router.safetensors
        weft router eval --model base.gguf --router router.safetensors --data test.jsonl
        weft router show "Spell out 912."
      """,
    subcommands: [RouterTrain.self, RouterEvaluate.self, RouterShow.self])
}

extension ModelOptions {
  /// The model with the router of this file, or of the demo.
  fileprivate func open(router: String?) throws -> Engine {
    let (engine, demo) = try open(EngineOptions(maximumSequences: 1))
    guard let file = router ?? demo?.router else {
      throw EngineError(.notFound, "router: expected --router FILE, found no router beside the model")
    }
    try engine.loadRouter(from: file)
    return engine
  }
}

extension RouterTrainingProgress {
  /// Shows the progress of a training or an evaluation as a line.
  fileprivate func show() {
    switch self {
    case .features(let done, let total):
      guard done % 16 == 0 || done == total else { return }
      Terminal.showProgress("features \(Terminal.bar(Double(done) / Double(max(total, 1)))) \(done) of \(total)")
    case .epoch(let number, let trainingLoss, let validationLoss, let accuracy):
      Terminal.showProgress(
        "epoch \(number): loss \(Readable.decimal(trainingLoss, digits: 3)), held out "
          + "\(Readable.decimal(validationLoss, digits: 3)), accuracy \(Readable.percent(accuracy, digits: 1))")
    }
  }
}

struct RouterTrain: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a router on labelled prompts.",
    discussion: """
      A part of the prompts is held out; training stops when they no longer improve. Same seed, data and model: the same file.

        weft router train --model base.gguf --data prompts.jsonl --output router.safetensors
      """)

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @Option(help: ArgumentHelp("Labelled prompts, JSON lines.", valueName: "file.jsonl"))
  var data: String

  @Option(help: ArgumentHelp("The router to write.", valueName: "file"))
  var output: String

  @Option(help: "Decides the split, the start and the order.")
  var seed: UInt64 = 0

  @Option(help: "The layer whose output the router reads (default: the middle one).")
  var layer: Int?

  @Option(help: "Units of the network.")
  var hidden = RouterTrainingOptions().hiddenSize

  @Option(help: "Passes over the prompts at most.")
  var epochs = RouterTrainingOptions().epochs

  @Option(help: "Keep the most probable adapters up to this probability together.")
  var topP = RouterTrainingOptions().topP

  func run() throws {
    let (engine, _) = try model.open(EngineOptions(maximumSequences: 1))
    let options = RouterTrainingOptions(layer: layer, hiddenSize: hidden, epochs: epochs, topP: topP, seed: seed)
    let clock = ContinuousClock()
    let begin = clock.now
    let report: RouterTrainingReport
    do {
      defer { Terminal.showProgress("") }
      report = try engine.trainRouter(data: data, output: output, options: options) { $0.show() }
    }
    let seconds = Double((clock.now - begin).components.seconds) + Double((clock.now - begin).components.attoseconds) * 1e-18
    ConfusionView.show(report.confusion)
    print(
      "\(output): \(report.confusion.names.count) choices from \(report.trainingCount) prompts, "
        + "\(Readable.percent(report.confusion.accuracy, digits: 1)) of \(report.validationCount) held-out prompts right; "
        + "epoch \(report.bestEpoch) of \(report.epochCount), \(Readable.seconds(seconds))")
  }
}

struct RouterEvaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "eval", abstract: "Measure a router on labelled prompts.",
    discussion: """
        weft router eval --model base.gguf --router router.safetensors --data test.jsonl
      """)

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @Option(help: ArgumentHelp("The router (default: the demo model's).", valueName: "file"))
  var router: String?

  @Option(help: ArgumentHelp("Labelled prompts, JSON lines.", valueName: "file.jsonl"))
  var data: String

  func run() throws {
    let engine = try model.open(router: router)
    let confusion: RouterConfusion
    do {
      defer { Terminal.showProgress("") }
      confusion = try engine.evaluateRouter(data: data) { $0.show() }
    }
    ConfusionView.show(confusion)
    print("\(Readable.percent(confusion.accuracy, digits: 1)) of \(Readable.count(confusion.total, "prompt")) right")
  }
}

struct RouterShow: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show", abstract: "Show what a router thinks of a prompt.",
    discussion: """
        weft router show "Write 1994 as a Roman numeral."
      """)

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @Option(help: ArgumentHelp("The router (default: the demo model's).", valueName: "file"))
  var router: String?

  @Argument(help: "The prompt.")
  var prompt: String

  func run() throws {
    let engine = try model.open(router: router)
    let choice = try engine.route(prompt)
    let probabilities = try engine.routerProbabilities(prompt).sorted { $0.weight > $1.weight }
    let width = probabilities.map(\.name.count).max() ?? 0
    for (name, probability) in probabilities.map({ ($0.name, Double($0.weight)) }) {
      let line = "\(Readable.padded(name, width))  \(Readable.padded(Terminal.bar(probability), 24))  "
      let isKept = choice.contains { $0.name == name } || (choice.isEmpty && name == "none")
      let percent = Readable.padded(Readable.percent(probability, digits: 1), 8, right: true)
      print(isKept ? line + percent : Terminal.styled(line + percent, .dim))
    }
    print("→ " + AdapterMixture(choice).readable)
  }
}
