// SPDX-License-Identifier: Apache-2.0

import Foundation
import WeftDeltas
import WeftEngine
import WeftFusion

/// What the arguments of `weft merge`, or its recipe, come to.
struct MergePlan {
  struct Source {
    let name: String
    let path: String
    let weight: Float
    var parameters = MergeParameters()
  }

  let merge: AdapterMerge
  var sources: [Source]
  /// The base.
  let model: String?

  init(_ arguments: MergeRun) throws {
    let given = arguments.sources
    if given.count == 1, !given[0].contains("="), [".yaml", ".yml"].contains(where: given[0].lowercased().hasSuffix) {
      try self.init(recipe: given[0], arguments)
    } else {
      try self.init(adapters: given, arguments)
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
    merge = AdapterMerge(method: method, parameters: parameters, rank: arguments.rank, seed: arguments.seed)
  }

  private init(recipe path: String, _ arguments: MergeRun) throws {
    guard arguments.method == nil, arguments.density == nil, arguments.parameters.isEmpty else {
      throw EngineError(
        .invalidArgument, "\(path): expected method and parameters in the recipe, found --method, --density or --set")
    }
    let recipe = try RecipeFile.read(path)
    for (key, value) in [("tokenizer_source", recipe.tokenizer), ("dtype", recipe.dtype), ("out_dtype", recipe.outputDType)] {
      // Adapters are calculated with, and written, in float32.
      if let value, value != "float32" {
        throw EngineError(.unsupported, "\(path): \(key): expected it absent where adapters are merged, found '\(value)'")
      }
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
    merge = AdapterMerge(method: method, parameters: recipe.parameters, rank: arguments.rank, seed: arguments.seed)
  }
}
