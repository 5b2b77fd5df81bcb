// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftDeltas
import WeftEngine
import WeftFormats
import WeftFusion
import WeftTensors

/// `weft merge` of whole models: what its arguments, or its recipe, come to when all that they name are models.
struct ModelMerge {
  private let merge: CheckpointMerge
  private let models: [CheckpointMerge.Model]
  private let base: String?
  private let output: String

  /// Nil where something else than models is merged.
  init?(_ arguments: MergeRun) throws {
    output = arguments.output
    let given = arguments.sources
    if given.count == 1, !given[0].contains("="), [".yaml", ".yml"].contains(where: given[0].lowercased().hasSuffix) {
      let recipe = try RecipeFile.read(given[0])
      guard recipe.models.allSatisfy({ ModelMerge.isModel($0.path) }), !recipe.models.isEmpty else { return nil }
      guard arguments.method == nil, arguments.density == nil, arguments.parameters.isEmpty else {
        throw EngineError(
          .invalidArgument, "\(given[0]): expected method and parameters in the recipe, found --method, --density or --set")
      }
      base = arguments.model ?? recipe.base
      var names: Set<String> = []
      models = try ModelMerge.withStatistics(
        recipe.models.enumerated().map { index, model in
          let name = URL(fileURLWithPath: model.path).deletingPathExtension().lastPathComponent
          return CheckpointMerge.Model(
            name: names.insert(name).inserted ? name : "\(name)-\(index + 1)", path: model.path, parameters: model.parameters)
        }, arguments)
      try ModelMerge.check(recipe, location: given[0])
      merge = try ModelMerge.merge(
        recipe.method, recipe.parameters, arguments,
        dtype: arguments.dtype ?? (recipe.outputDType ?? recipe.dtype).flatMap(MergeDType.init))
      return
    }
    let sources = given.compactMap { AdapterArgument(argument: $0) }
    guard !sources.isEmpty, sources.count == given.count,
      sources.allSatisfy({ source in source.path.map(ModelMerge.isModel) ?? false }),
      let method = arguments.method
    else { return nil }
    var own: [String: MergeParameters] = [:]
    var parameters = MergeParameters()
    if let density = arguments.density { parameters.add("density", .init([density])) }
    let row: MergeMethod
    do { row = try .named(method, space: arguments.space, preferring: .delta) } catch { throw EngineError(merge: error) }
    for argument in arguments.parameters {
      let entry = try argument.entry(for: row)
      guard let task = argument.task else {
        parameters.add(argument.key, entry)
        continue
      }
      guard sources.contains(where: { $0.name == task }) else {
        throw EngineError(
          .invalidArgument,
          "--set \(task):\(argument.key): expected one of \(sources.map(\.name).joined(separator: ", ")), found '\(task)'")
      }
      own[task, default: MergeParameters()].add(argument.key, entry)
    }
    base = arguments.model
    models = try ModelMerge.withStatistics(
      sources.map {
        CheckpointMerge.Model(
          name: $0.name, path: $0.path ?? "", weight: $0.weight, parameters: own[$0.name] ?? MergeParameters())
      }, arguments)
    merge = try ModelMerge.merge(method, parameters, arguments, dtype: arguments.dtype)
  }

  /// The models with what `--statistics` names for them.
  private static func withStatistics(
    _ models: [CheckpointMerge.Model], _ arguments: MergeRun
  ) throws -> [CheckpointMerge.Model] {
    var models = models
    for argument in arguments.statistics {
      guard let index = models.firstIndex(where: { $0.name == argument.task }) else {
        throw EngineError(
          .invalidArgument,
          "--statistics \(argument.task): expected one of \(models.map(\.name).joined(separator: ", ")), found '\(argument.task)'"
        )
      }
      do { models[index].statistics = try MergeStatistics(path: argument.path) } catch { throw EngineError(merge: error) }
    }
    return models
  }

  private static func merge(
    _ method: String, _ parameters: MergeParameters, _ arguments: MergeRun, dtype: MergeDType?
  ) throws -> CheckpointMerge {
    guard arguments.rank == nil else {
      throw EngineError(.invalidArgument, "--rank: expected adapters to merge, found models, which have no rank")
    }
    guard arguments.maxShardSize == nil || !arguments.output.lowercased().hasSuffix(".gguf") else {
      throw EngineError(.invalidArgument, "--max-shard-size: expected a folder to write, found a GGUF file")
    }
    guard arguments.masks == nil else {
      throw EngineError(.invalidArgument, "--masks: expected adapters to merge, found models")
    }
    do {
      var merge = CheckpointMerge(
        method: try .named(method, space: arguments.space, preferring: .delta), parameters: parameters, seed: arguments.seed,
        dtype: dtype?.dtype)
      merge.maximumShardBytes = arguments.maxShardSize?.byteCount ?? MemorySize.shard.byteCount
      return merge
    } catch { throw EngineError(merge: error) }
  }

  /// What recipes can say and a merge of whole models cannot do.
  private static func check(_ recipe: MergeRecipe, location: String) throws {
    if let tokenizer = recipe.tokenizer, tokenizer != "base" {
      throw EngineError(
        .unsupported, "\(location): tokenizer_source: expected base, whose tokenizer the result gets, found '\(tokenizer)'")
    }
    guard let layers = recipe.layers, let path = recipe.models.first?.path else { return }
    let count = (try? Checkpoint(path: path)).flatMap { checkpoint in
      checkpoint.config?["num_hidden_layers"]?.int
        ?? checkpoint.gguf.flatMap { file in
          file.metadata["general.architecture"]?.string.flatMap { file.metadata["\($0).block_count"]?.int }
        }
    }
    guard let count, layers == 0..<count else {
      throw EngineError(
        .unsupported,
        "\(location): layer_range: expected all layers of the models\(count.map { ", 0 to \($0)" } ?? ""), found \(layers)")
    }
  }

  /// A folder with a configuration that is no adapter, or a GGUF file of a model.
  private static func isModel(_ path: String) -> Bool {
    let files = FileManager.default
    var isFolder: ObjCBool = false
    guard files.fileExists(atPath: path, isDirectory: &isFolder) else { return false }
    if isFolder.boolValue {
      return files.fileExists(atPath: path + "/config.json") && !files.fileExists(atPath: path + "/adapter_config.json")
    }
    guard path.lowercased().hasSuffix(".gguf"), let file = try? GGUFFile(path: path) else { return false }
    return file.metadata["general.type"]?.string != "adapter"
  }

  func run() throws {
    Interrupt.catchSignal()
    defer { Terminal.showProgress("") }
    let begin = ContinuousClock.now
    var shown = begin
    do throws(MergeError) {
      Terminal.showProgress("reading \(models.count) models")
      let notes = try merge(models, base: base, to: output) { share in
        if ContinuousClock.now - shown > .milliseconds(50) {
          shown = .now
          Terminal.showProgress("\(Readable.padded(Terminal.bar(share), 24)) \(Readable.percent(share))  \(output)")
        }
        return !Interrupt.take()
      }
      Terminal.showProgress("")
      for note in notes { Terminal.note(note) }
      print(
        "\(output): \(models.map(\.name).joined(separator: ", ")) by \(merge.method.name), "
          + Readable.seconds((ContinuousClock.now - begin) / .seconds(1)))
    } catch {
      Terminal.showProgress("")
      if case .interrupted = error {
        Terminal.note("\(error)")
        throw ExitCode(130)
      }
      throw EngineError(merge: error)
    }
  }
}
