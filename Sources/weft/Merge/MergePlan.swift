// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftDeltas
import WeftEngine
import WeftFusion
import WeftTensors

/// What the arguments of `weft merge`, or its recipe, come to.
struct MergePlan {
  struct Source {
    let name: String
    let path: String
    let weight: Float
    var parameters = MergeParameters()
    /// The file of its statistics.
    var statistics: String?
  }

  let merge: AdapterMerge
  var sources: [Source]
  /// The base.
  let model: String?
  /// What is written.
  let dtype: MergeDType

  init(_ arguments: MergeRun) throws {
    let given = arguments.sources
    if given.count == 1, !given[0].contains("="), [".yaml", ".yml"].contains(where: given[0].lowercased().hasSuffix) {
      try self.init(recipe: given[0], arguments)
    } else {
      try self.init(adapters: given, arguments)
    }
    for argument in arguments.statistics {
      guard let index = sources.firstIndex(where: { $0.name == argument.task }) else {
        throw EngineError(
          .invalidArgument,
          "--statistics \(argument.task): expected one of \(sources.map(\.name).joined(separator: ", ")), found '\(argument.task)'"
        )
      }
      sources[index].statistics = argument.path
    }
  }

  private init(adapters: [String], _ arguments: MergeRun) throws {
    guard let name = arguments.method else {
      throw EngineError(.invalidArgument, "--method: expected the name of a method, as `weft merge methods` lists them")
    }
    let method: MergeMethod
    do { method = try .named(name, space: arguments.space) } catch { throw EngineError(merge: error) }
    sources = try adapters.map { text in
      guard let argument = AdapterArgument(argument: text), let path = argument.path else {
        throw EngineError(.invalidArgument, "adapters: expected NAME=PATH[:WEIGHT] or one recipe .yaml, found '\(text)'")
      }
      guard Mixture.isName(argument.name) else {
        throw EngineError(
          .invalidArgument, "adapter name: expected letters, digits, '.', '_' and '-' (not 'base'), found '\(argument.name)'")
      }
      return Source(name: argument.name, path: path, weight: argument.weight)
    }
    var parameters = MergeParameters()
    if let density = arguments.density { parameters.add("density", .init([density])) }
    for argument in arguments.parameters {
      let entry = try argument.entry(for: method)
      guard let task = argument.task else {
        parameters.add(argument.key, entry)
        continue
      }
      guard let index = sources.firstIndex(where: { $0.name == task }) else {
        throw EngineError(
          .invalidArgument,
          "--set \(task):\(argument.key): expected one of \(sources.map(\.name).joined(separator: ", ")), found '\(task)'")
      }
      sources[index].parameters.add(argument.key, entry)
    }
    model = arguments.model
    dtype = arguments.dtype ?? .float32
    merge = AdapterMerge(
      method: method, parameters: parameters, rank: arguments.rank, seed: arguments.seed, masks: try MergePlan.masks(arguments))
  }

  private init(recipe path: String, _ arguments: MergeRun) throws {
    guard arguments.method == nil, arguments.density == nil, arguments.parameters.isEmpty else {
      throw EngineError(
        .invalidArgument, "\(path): expected method and parameters in the recipe, found --method, --density or --set")
    }
    let recipe = try RecipeFile.read(path)
    if let source = recipe.tokenizer {
      throw EngineError(
        .unsupported, "\(path): tokenizer_source: expected it absent where adapters are merged, found '\(source)'")
    }
    if let layers = recipe.layers {
      throw EngineError(
        .unsupported,
        "\(path): slices: expected models where adapters are merged: an adapter has the layers it has; found layers \(layers)")
    }
    var names: Set<String> = []
    sources = recipe.models.enumerated().map { index, source in
      // mergekit's BASE+ADAPTER.
      let path = source.path.split(separator: "+").last.map(String.init) ?? source.path
      var name = URL(fileURLWithPath: path).deletingPathExtension().lastPathComponent
      if !Mixture.isName(name) || !names.insert(name).inserted { name = "\(index + 1)" }
      return Source(name: name, path: path, weight: 1, parameters: source.parameters)
    }
    let method: MergeMethod
    do { method = try .named(recipe.method, space: arguments.space, preferring: .delta) } catch {
      throw EngineError(merge: error)
    }
    model = arguments.model ?? recipe.base
    // mergekit calculates in `dtype` too; adapters are calculated with in float32.
    dtype = arguments.dtype ?? (recipe.outputDType ?? recipe.dtype).flatMap(MergeDType.init) ?? .float32
    merge = AdapterMerge(
      method: method, parameters: recipe.parameters, rank: arguments.rank, seed: arguments.seed,
      masks: try MergePlan.masks(arguments))
  }

  private static func masks(_ arguments: MergeRun) throws -> MergeMasks? {
    do { return try arguments.masks.map { path throws(MergeError) in try MergeMasks(path: path) } } catch {
      throw EngineError(merge: error)
    }
  }
}

/// The number format of what was merged, in mergekit's words.
enum MergeDType: String, CaseIterable, ExpressibleByArgument {
  case float32, float16, bfloat16

  var dtype: DType {
    switch self {
    case .float32: .f32
    case .float16: .f16
    case .bfloat16: .bf16
    }
  }
}
