// SPDX-License-Identifier: Apache-2.0

import Foundation
import WeftEngine
import WeftFusion
import Yams

/// Reads a recipe in YAML. A key that is not known is refused with its line, as it could mean anything.
struct RecipeFile {
  private let path: String
  private let method: MergeMethod?

  /// A recipe is a few lines; more is refused before it is parsed.
  private static let byteLimit = 1 << 20

  static func read(_ path: String) throws -> MergeRecipe {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw EngineError(.notFound, "\(path): expected a recipe, found nothing that can be read")
    }
    guard data.count <= byteLimit else {
      throw EngineError(.invalidArgument, "\(path): expected a recipe of at most \(byteLimit) bytes, found \(data.count)")
    }
    let root: Node?
    do { root = try Yams.compose(yaml: String(decoding: data, as: UTF8.self)) } catch {
      throw EngineError(.invalidArgument, "\(path): expected YAML, found: \(error)")
    }
    guard let root, let mapping = root.mapping else {
      throw EngineError(.invalidArgument, "\(path): expected keys and values: merge_method, models, ...")
    }
    let name = mapping["merge_method"]?.string
    let method = try name.map { name in
      do { return try MergeMethod.named(name, preferring: .delta) } catch {
        throw EngineError(.invalidArgument, "\(path): merge_\(error)")
      }
    }
    return try RecipeFile(path: path, method: method).recipe(root)
  }

  private func recipe(_ root: Node) throws -> MergeRecipe {
    let keys = [
      "merge_method", "models", "slices", "base_model", "parameters", "dtype", "out_dtype", "tokenizer_source",
    ]
    let members = try members(root, keys, of: "a recipe")
    guard let method else { throw problem(root, "expected merge_method, found none") }
    let base = try members["base_model"].map { try text($0, "base_model") }
    var parameters = MergeParameters()
    var weights = MergeParameters()
    if let own = members["parameters"] { try read(own, into: &parameters, weights: &weights) }
    var sources: [(node: Node, path: String, parameters: MergeParameters)]
    var layers: Range<Int>?
    switch (members["models"], members["slices"]) {
    case (let models?, nil):
      sources = try list(models, "models").map { node in
        let model = try self.members(node, ["model", "parameters"], of: "a model")
        return (node, try path(model["model"], node), try own(model["parameters"]))
      }
    case (nil, let slices?): (sources, layers) = try slice(slices)
    default: throw problem(root, "expected models or slices, one of both")
    }
    // The base may stand in the list without parameters, as in mergekit's examples; it is no task.
    if !method.isOfWholeWeights { sources.removeAll { $0.path == base } }
    let models = sources.map { source in
      var own = source.parameters
      for entry in weights.entries[MergeParameter.weightName] ?? [] { own.add(MergeParameter.weightName, entry) }
      return MergeRecipe.Model(path: source.path, parameters: own)
    }
    return MergeRecipe(
      method: method.name, models: models, base: base, parameters: parameters, dtype: try dtype(members["dtype"], "dtype"),
      outputDType: try dtype(members["out_dtype"], "out_dtype"), layers: layers,
      tokenizer: try members["tokenizer_source"].map { try text($0, "tokenizer_source") })
  }

  /// One slice with the same layers of every model is a merge of models; others put layers together anew.
  private func slice(
    _ node: Node
  ) throws -> ([(node: Node, path: String, parameters: MergeParameters)], Range<Int>) {
    let slices = try list(node, "slices")
    guard slices.count == 1 else {
      throw problem(
        node,
        "expected one slice: several put layers together anew, which no merge of the same places is, found \(slices.count)",
        .unsupported)
    }
    let slice = try members(slices[0], ["sources", "parameters"], of: "a slice")
    guard let list = slice["sources"] else { throw problem(slices[0], "expected sources, found none") }
    var layers: Range<Int>?
    var sources: [(node: Node, path: String, parameters: MergeParameters)] = []
    for node in try self.list(list, "sources") {
      let source = try members(node, ["model", "layer_range", "parameters"], of: "a source")
      let ends = (source["layer_range"]?.sequence.map(Array.init) ?? []).compactMap(\.int)
      guard ends.count == 2, 0 <= ends[0], ends[0] < ends[1], ends[1] <= 1 << 20 else {
        throw problem(node, "expected layer_range: [first, behind the last]")
      }
      guard layers == nil || layers == ends[0]..<ends[1] else {
        throw problem(node, "expected the same layer_range for all sources, found \(ends)", .unsupported)
      }
      layers = ends[0]..<ends[1]
      var parameters = try own(source["parameters"])
      for (name, entries) in try own(slice["parameters"]).entries {
        for entry in entries { parameters.add(name, entry) }
      }
      sources.append((node, try path(source["model"], node), parameters))
    }
    guard let layers else { throw problem(node, "expected sources, found none") }
    return (sources, layers)
  }

  private func own(_ node: Node?) throws -> MergeParameters {
    var parameters = MergeParameters()
    var weights = MergeParameters()
    if let node { try read(node, into: &parameters, weights: &weights) }
    for entry in weights.entries[MergeParameter.weightName] ?? [] { parameters.add(MergeParameter.weightName, entry) }
    return parameters
  }

  /// Reads `parameters`. `int8_mask` says how mergekit saves memory, and means nothing here.
  private func read(_ node: Node, into parameters: inout MergeParameters, weights: inout MergeParameters) throws {
    let names = (method?.parameters.map(\.name) ?? []) + [MergeParameter.weightName, "int8_mask"]
    for (name, value) in try members(node, names, of: "method \(method?.name ?? "")").sorted(by: { $0.key < $1.key }) {
      guard name != "int8_mask" else { continue }
      for entry in try entries(value, name) {
        if name == MergeParameter.weightName { weights.add(name, entry) } else { parameters.add(name, entry) }
      }
    }
  }

  /// A value, a list of values over the layers, or a list of values for parts of names.
  private func entries(_ node: Node, _ name: String) throws -> [MergeParameters.Entry] {
    if node.mapping != nil { return [try conditional(node, name)] }
    guard let sequence = node.sequence else { return [.init([try number(node, name)])] }
    guard sequence.contains(where: { $0.mapping != nil }) else {
      guard !sequence.isEmpty else { throw problem(node, "\(name): expected values, found none") }
      return [.init(try sequence.map { try number($0, name) })]
    }
    return try sequence.map { try $0.mapping == nil ? .init([number($0, name)]) : conditional($0, name) }
  }

  private func conditional(_ node: Node, _ name: String) throws -> MergeParameters.Entry {
    let members = try members(node, ["value", "filter"], of: name)
    guard let value = members["value"] else { throw problem(node, "\(name): expected value, found none") }
    let numbers = try value.sequence.map { try $0.map { try number($0, name) } } ?? [number(value, name)]
    guard !numbers.isEmpty else { throw problem(value, "\(name): expected values, found none") }
    let filter = try members["filter"].map { try text($0, "filter") }
    return .init(numbers, filter: filter == "*" ? nil : filter)
  }

  private func number(_ node: Node, _ name: String) throws -> Float {
    guard let text = node.scalar?.string,
      let number = ParameterArgument.number(text, parameter: method?.parameters.first { $0.name == name })
    else { throw problem(node, "\(name): expected a number, found \(node.string.map { "'\($0)'" } ?? "something else")") }
    return number
  }

  private func path(_ node: Node?, _ place: Node) throws -> String {
    guard let node else { throw problem(place, "expected model, found none") }
    return try text(node, "model")
  }

  private func dtype(_ node: Node?, _ name: String) throws -> String? {
    guard let node else { return nil }
    let text = try text(node, name)
    let known = MergeDType.allCases.map(\.rawValue)
    guard known.contains(text) else {
      throw problem(node, "\(name): expected \(known.joined(separator: ", ")), found '\(text)'", .unsupported)
    }
    return text
  }

  private func text(_ node: Node, _ name: String) throws -> String {
    guard let text = node.scalar?.string, !text.isEmpty else { throw problem(node, "\(name): expected text") }
    return text
  }

  private func list(_ node: Node, _ name: String) throws -> [Node] {
    guard let sequence = node.sequence, !sequence.isEmpty else {
      throw problem(node, "\(name): expected a list, found \(node.sequence == nil ? "none" : "an empty one")")
    }
    return Array(sequence)
  }

  private func members(_ node: Node, _ keys: [String], of what: String) throws -> [String: Node] {
    guard let mapping = node.mapping else { throw problem(node, "expected keys of \(what): \(keys.joined(separator: ", "))") }
    var members: [String: Node] = [:]
    for (key, value) in mapping {
      guard let name = key.string, keys.contains(name) else {
        throw problem(
          key,
          "expected keys of \(what) (\(keys.joined(separator: ", "))), found '\(key.string ?? "something else")'")
      }
      members[name] = value
    }
    return members
  }

  private func problem(_ node: Node, _ message: String, _ status: EngineError.Status = .invalidArgument) -> EngineError {
    EngineError(status, path + (node.mark.map { ", line \($0.line)" } ?? "") + ": " + message)
  }
}
