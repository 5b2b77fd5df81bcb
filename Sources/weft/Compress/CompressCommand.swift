// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftDeltas
import WeftEngine
import WeftFusion

/// `weft compress`: an adapter as a small pack.
struct CompressCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compress",
    abstract: "Write an adapter as a small pack, and say what that costs.",
    discussion: """
      METHOD is one of:
      \(CompressionMethod.all.map { "  \($0.name): \($0.text)" }.joined(separator: "\n"))
      \(LibraryMethod.allCases.map { "  \($0.rawValue): \($0.text)" }.joined(separator: "\n"))
        auto: ternary-fit with the bytes of --target-size spread over the modules, with --data by what their errors cost

      With --data, loss and accuracy are measured before and after, and --method auto measures every module. --target-size finds \
      the best that fits, --max-loss the smallest that loses no more accuracy on the data.

        weft compress adapters/chef --method ternary --density 0.2 --output chef.weft
        weft compress adapters/chef --method auto --target-size 40K --data questions.jsonl --output chef.weft
        weft compress a=adapters/a b=adapters/b c=adapters/c --method shared-basis --rank 16 --output abc.weft
        weft compress adapters/chef --method ternary-fit --module 'q_proj=low-rank:rank=4' --output chef.weft
      """)

  @Argument(help: ArgumentHelp("An adapter, a folder or file; of a library several, as NAME=PATH.", valueName: "adapter"))
  var adapters: [String]

  @Option(help: "How (default: auto with --target-size or --max-loss, else ternary-fit).")
  var method: String?

  @Option(help: ArgumentHelp("The pack to write.", valueName: "file"))
  var output: String

  @Option(help: "The adapter's name in the pack (default: that of its path).")
  var name: String?

  @Option(help: "Share of elements that ternary keeps.")
  var density: Double?

  @Option(help: "The signs' factor beside sigma in ternary, or auto: by the data where there is some, else by the change.")
  var alpha: String?

  @Option(help: "Largest rank that is kept.")
  var rank: Int?

  @Option(help: "Share of the squared change that low-rank keeps.")
  var energy: Double?

  @Option(help: "What an element costs in ternary-fit.")
  var price: Double?

  @Option(help: "How much larger than the others' an element must be to belong to an adapter, in mask (default: 0.4).")
  var lambda: Double?

  @Option(
    name: .customLong("module"),
    help: ArgumentHelp(
      "Another method for modules whose path is or ends with PATTERN, where * stands for anything; repeatable.",
      valueName: "pattern=method[:option=value,...]"))
  var modules: [ModuleArgument] = []

  @Option(help: ArgumentHelp("Questions with answers to measure with: JSON lines with prompt and answer.", valueName: "file"))
  var data: String?

  @Option(help: "Use only so many questions.")
  var limit: Int?

  @Option(help: ArgumentHelp("Bytes that the pack may have, as in 40K.", valueName: "size"))
  var targetSize: MemorySize?

  @Option(help: ArgumentHelp("Accuracy on the data that may be lost, as in 1%.", valueName: "percent"))
  var maxLoss: PercentArgument?

  @Option(
    name: [.long, .customShort("m")],
    help: ArgumentHelp("The base: a GGUF file or a Hugging Face folder (default: the demo model).", valueName: "path"))
  var model: String?

  @Option(name: .customLong("adapter-option"), help: AdapterOptionArgument.help)
  var adapterOptions: [AdapterOptionArgument] = []

  @Option(name: [.long, .customShort("t")], help: "Threads (default: as many as processors).")
  var threads: Int?

  @Flag(help: "Print one line of JSON instead.")
  var json = false

  func validate() throws {
    guard limit ?? 1 >= 1 else { throw ValidationError("--limit: expected 1 or more, found \(limit ?? 0)") }
    if limit != nil, data == nil { throw ValidationError("--limit: expected --data beside it, found none") }
    if let option = optionOfOtherMethods {
      throw ValidationError("\(option): expected a method that has it, found \(method ?? "auto")")
    }
    if maxLoss != nil, data == nil { throw ValidationError("--max-loss: expected --data to measure it with, found none") }
    if maxLoss != nil, targetSize != nil {
      throw ValidationError("--max-loss: expected no --target-size beside it, found both")
    }
    if let library {
      guard data == nil, targetSize == nil, maxLoss == nil, modules.isEmpty, name == nil, adapterOptions.isEmpty else {
        throw ValidationError(
          "--method \(library.rawValue): expected no --data, --target-size, --max-loss, --module, --name or --adapter-option beside it"
        )
      }
      return
    }
    guard adapters.count == 1 else {
      throw ValidationError("expected one adapter, found \(adapters.count); several need --method shared-basis or mask")
    }
    if isAutomatic {
      guard targetSize != nil || maxLoss != nil else {
        throw ValidationError("--method auto: expected --target-size or --max-loss, found neither")
      }
      guard modules.isEmpty else { throw ValidationError("--module: expected a method other than auto, found auto") }
    }
    try adapterOptions.validate(for: [name ?? CompressCommand.name(of: adapters[0])])
    if let alpha, alpha != "auto", Double(alpha) == nil {
      throw ValidationError("--alpha: expected a number or auto, found '\(alpha)'")
    }
  }

  /// The first option that was given and that auto or the method of a library does not have; other methods look for themselves.
  private var optionOfOtherMethods: String? {
    let given: [(String, Bool)] = [
      ("--density", density != nil), ("--alpha", alpha != nil), ("--energy", energy != nil), ("--price", price != nil),
      ("--rank", rank != nil && library != .sharedBasis), ("--lambda", lambda != nil && library != .mask),
    ]
    return given.first { $0.1 && (library != nil || isAutomatic || $0.0 == "--lambda") }?.0
  }

  private var library: LibraryMethod? { method.flatMap(LibraryMethod.init) }
  private var isAutomatic: Bool { (method ?? (targetSize == nil && maxLoss == nil ? "" : "auto")) == "auto" }

  func run() throws {
    let path = try model ?? DemoModel.find().model
    Terminal.showProgress("loading \(path)")
    defer { Terminal.showProgress("") }
    let engine = try Engine(model: path, options: EngineOptions(threads: threads, maximumSequences: 32))
    if let library {
      return try LibraryCompression(method: library, rank: rank, lambda: lambda, json: json)
        .run(adapters, engine: engine, output: output)
    }
    let adapter = adapters[0]
    let questions = try data.map { Array(try Question.read($0).prefix(limit ?? .max)) }
    let name = name ?? CompressCommand.name(of: adapter)
    guard Mixture.isName(name) else {
      throw EngineError(.invalidArgument, "--name: expected letters, digits, '-', '_' and '.', found '\(name)'")
    }
    let task = try CompressionTask(
      adapter: adapter, name: name, options: .init(adapterOptions, for: name), questions: questions, engine: engine)
    let outcome: CompressionTask.Outcome
    if isAutomatic {
      outcome = try task.automatic(targetSize: targetSize?.byteCount, maximumLoss: maxLoss?.share)
    } else {
      outcome = try task.run(
        try plan(), isAlphaFree: alpha == "auto" || (alpha == nil && data != nil), targetSize: targetSize?.byteCount,
        maximumLoss: maxLoss?.share)
    }
    try task.write(outcome, to: output)
    Terminal.showProgress("")
    let view = CompressionView(task: task, outcome: outcome, output: output)
    if json { print(try view.json()) } else { view.print() }
  }

  private func plan() throws -> CompressionPlan {
    do throws(CompressionError) {
      let method = try CompressionMethod.named(method ?? "ternary-fit")
      var values = CompressionValues()
      values["density"] = density
      values["alpha"] = alpha.flatMap(Double.init)
      values["rank"] = rank.map(Double.init)
      values["energy"] = energy
      values["price"] = price
      return CompressionPlan(
        .init(method, values),
        exceptions: try modules.map { module throws(CompressionError) in
          (module.pattern, .init(try CompressionMethod.named(module.method), module.values))
        })
    } catch { throw EngineError(error) }
  }

  /// The last part of a path, without the ending of a file.
  static func name(of path: String) -> String {
    let last = URL(fileURLWithPath: path).lastPathComponent
    let endings = [".safetensors", ".gguf", ".weft"]
    return endings.first { last.hasSuffix($0) }.map { String(last.dropLast($0.count)) } ?? last
  }
}

/// `PATTERN=METHOD[:option=value,...]`
struct ModuleArgument: ExpressibleByArgument {
  let pattern: String
  let method: String
  let values: CompressionValues

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
    let choice = parts[1].split(separator: ":", maxSplits: 1).map(String.init)
    guard let method = choice.first else { return nil }
    var values = CompressionValues()
    for pair in (choice.count > 1 ? choice[1] : "").split(separator: ",") {
      let sides = pair.split(separator: "=", maxSplits: 1).map(String.init)
      guard sides.count == 2, let number = Double(sides[1]) else { return nil }
      values[sides[0]] = number
    }
    pattern = parts[0]
    self.method = method
    self.values = values
  }
}

/// `1%`, `0.5 %` or `1`: percent.
struct PercentArgument: ExpressibleByArgument {
  let share: Double

  init?(argument: String) {
    let text = argument.hasSuffix("%") ? String(argument.dropLast()) : argument
    guard let value = Double(text.trimmingBlanks), value >= 0, value <= 100 else { return nil }
    share = value / 100
  }
}
