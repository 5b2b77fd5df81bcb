// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftDeltas
import WeftEngine
import WeftFormats
import WeftFusion
import WeftTransformer

/// `weft merge` itself.
struct MergeRun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Merge adapters; what `weft merge` without a subcommand does.",
    discussion: """
      The output is a pack when its name ends in .weft, else a folder that peft reads. It appears when it is complete; after an \
      error or Ctrl-C there is none. Methods with several results (twin_merging, emr, tall_masks) write one adapter that all \
      share and one for each, as folders in a folder or as a library in a pack (those of twin_merging act beside the shared one, \
      those of the others in its place); --set part=N asks for one of them alone.
      """)

  @Option(help: ArgumentHelp("How to merge; see `weft merge methods`.", valueName: "name"))
  var method: String?

  @Option(help: ArgumentHelp("factors, delta or concat, where the method has several.", valueName: "space"))
  var space: MergeSpace?

  @Option(help: "Share of the elements that is kept, for methods with a density: more than 0, at most 1.")
  var density: Float?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "A parameter of the method, or of one adapter; several numbers spread over the layers: lambda=0.8, a:density=0.3, "
        + "t=0,0.5,1. Repeatable.", valueName: "[name:]key=value"))
  var parameters: [ParameterArgument] = []

  @Option(help: "Rank of the result (default: in space delta the largest of the adapters, otherwise what the method makes).")
  var rank: Int?

  @Option(
    help: ArgumentHelp(
      "Number format of the result: float32, float16 or bfloat16 (default: the recipe's; otherwise float32 of adapters, that of "
        + "the first of models).", valueName: "type"))
  var dtype: MergeDType?

  @Option(
    name: .customLong("statistics"),
    help: ArgumentHelp(
      "For fisher, regmean and others that read data: what `weft stats` wrote for an adapter; repeatable, one for each.",
      valueName: "name=file"))
  var statistics: [StatisticsArgument] = []

  @Option(
    help: ArgumentHelp(
      "For given_masks: a safetensors file with weights of elements, columns, rows or modules, named ADAPTER.MODULE.",
      valueName: "file"))
  var masks: String?

  @Option(help: "Seed of everything random.")
  var seed: UInt64 = 0

  @Option(
    name: [.long, .customShort("m")],
    help: ArgumentHelp(
      "The base of the adapters, a GGUF file or a Hugging Face folder: names and shapes are checked against it, and families "
        + "other than LoRA can be merged by their changes.", valueName: "path"))
  var model: String?

  @Option(help: ArgumentHelp("The folder or .weft file to write; of models a folder, or a GGUF file.", valueName: "path"))
  var output: String

  @Option(help: ArgumentHelp("Largest safetensors file of merged models (default: 5G).", valueName: "size"))
  var maxShardSize: MemorySize?

  @Argument(help: ArgumentHelp("Adapters with their weights, or one recipe in YAML.", valueName: "name=path[:weight]"))
  var sources: [String]

  func run() throws {
    if let models = try ModelMerge(self) { return try models.run() }
    guard maxShardSize == nil else {
      throw ValidationError("--max-shard-size: expected models to merge, found adapters, which are one file")
    }
    let plan = try MergePlan(self)
    Interrupt.catchSignal()
    defer { Terminal.showProgress("") }
    let begin = ContinuousClock.now
    do throws(MergeError) {
      let base = try plan.model.map { path throws(MergeError) in try MergeRun.base(path) }
      var tasks: [MergeSource] = []
      for source in plan.sources {
        Terminal.showProgress("reading \(source.path)")
        var task = try MergeSource(
          reading: source.path, name: source.name, weight: source.weight, parameters: source.parameters, base: base)
        if let path = source.statistics { task.statistics = try MergeStatistics(path: path) }
        tasks.append(task)
      }
      var shown = begin
      func progress(_ done: Int, _ count: Int) -> Bool {
        if ContinuousClock.now - shown > .milliseconds(50) {
          shown = .now
          Terminal.showProgress("\(Terminal.bar(Double(done) / Double(count))) \(done) of \(count) modules")
        }
        return !Interrupt.take()
      }
      let isPack = output.lowercased().hasSuffix(".weft")
      if plan.merge.method.hasParts, plan.merge.parameters.value(MergeParameter.part.name) == nil {
        let library = try MergedLibrary(plan.merge, tasks, base: base, progress: progress)
        if isPack {
          try library.write(pack: output, dtype: plan.dtype.dtype)
        } else {
          try library.write(folder: output, dtype: plan.dtype.dtype)
        }
        Terminal.showProgress("")
        for (name, merged) in library.members {
          print(MergeRun.summary(merged, plan, isPack ? "\(output), \(name)" : "\(output)/\(name)"))
        }
        return
      }
      let merged = try plan.merge(tasks, base: base, progress: progress)
      if isPack {
        try merged.write(pack: output, name: MergeRun.memberName(output), dtype: plan.dtype.dtype)
      } else {
        try merged.write(folder: output, dtype: plan.dtype.dtype)
      }
      Terminal.showProgress("")
      print(MergeRun.summary(merged, plan, output))
    } catch {
      if case .interrupted = error {
        Terminal.showProgress("")
        Terminal.note("\(error)")
        throw ExitCode(130)
      }
      throw EngineError(merge: error)
    }
  }

  /// The base with its weights, which are read where a method or a family asks for them.
  static func base(_ path: String) throws(MergeError) -> BaseModel {
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint(path: path) } catch { throw .format(error) }
    do { return try ModelWeights.base(of: checkpoint) } catch {
      throw .mismatch(location: path, expected: "a model", found: "\(error)")
    }
  }

  /// The name of the one adapter of a pack: that of the file, in the letters that names have.
  static func memberName(_ path: String) -> String {
    let name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
    let letters = name.map { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) ? $0 : "-" }
    return Mixture.isName(String(letters)) ? String(letters) : "merged"
  }

  private static func summary(_ merged: MergedAdapter, _ plan: MergePlan, _ output: String) -> String {
    var facts = [
      "\(plan.sources.map(\.name).joined(separator: ", ")) by \(merged.record.method) in space \(merged.record.space)",
      Readable.count(merged.modules.count, "module"),
    ]
    if let rank = merged.rank { facts.append("rank \(rank)") }
    if let share = merged.keptShare, share < 1 {
      facts.append("\(Readable.percent(share, digits: 1)) of the squared change kept by that rank")
    }
    return "\(output): " + facts.joined(separator: ", ")
  }
}

/// `NAME=FILE`: the statistics of an adapter.
struct StatisticsArgument: ExpressibleByArgument {
  let task: String
  let path: String

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return nil }
    (task, path) = (parts[0], parts[1])
  }
}

extension MergeSpace: ExpressibleByArgument {}

extension EngineError {
  /// A merge that was not made, by what its user can do.
  init(merge error: MergeError) {
    switch error {
    case .adapter(let error): self.init(error)
    case .format(let error): self.init(error)
    case .storage(let error): self.init(FormatError.storage(error))
    case .linearAlgebra: self.init(.corruptFile, error.description)
    case .notMixable: self.init(.unsupported, error.description)
    case .mismatch, .interrupted: self.init(.invalidArgument, error.description)
    }
  }
}
