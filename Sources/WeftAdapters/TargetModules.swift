// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// Which modules a config adapts: `target_modules`, `exclude_modules`, `layers_to_transform`, `layers_pattern`.
///
/// The rules are those of PEFT's `check_target_module_exists`: a text is an expression for the whole path, a list names
/// modules by path or by the end of their path, and layers are chosen only together with a list.
struct TargetModules {
  private enum Names {
    case ends([String])
    case expression(NamePattern)
    case allLinear
  }

  private let target: Names?
  private let exclude: Names?
  /// Ends of parameter names: stacked experts, and weights that are no linear module's.
  private let parameters: [String]
  private let layers: Set<Int>?
  private let layerPatterns: [NamePattern]

  /// Every linear module of the decoder layers, which PEFT writes out as a list when it saves.
  private static let allLinear = "all-linear"

  init(_ config: AdapterConfig) throws(AdapterError) {
    if config["target_modules"]?.string == TargetModules.allLinear {
      target = .allLinear
    } else {
      target = try TargetModules.names("target_modules", config)
    }
    exclude = try TargetModules.names("exclude_modules", config)
    parameters = try config.strings("target_parameters") ?? []
    let layers = try config.integers("layers_to_transform") ?? []
    if !layers.isEmpty, config["target_modules"]?.array == nil {
      throw config.malformed(
        "layers_to_transform", expected: "target_modules as a list with it", found: config["target_modules"])
    }
    self.layers = layers.isEmpty ? nil : Set(layers)
    var patterns: [NamePattern] = []
    for pattern in try config.strings("layers_pattern") ?? [] where !pattern.isEmpty {
      let path = "(?:^|.*?\\.)\(pattern)\\.\\d+\\..*"
      patterns.append(try NamePattern(path, option: "layers_pattern", location: config.location))
    }
    layerPatterns = patterns
  }

  /// Whether the config says which modules are adapted. If not, those are whose tensors exist.
  var isStated: Bool { target != nil || !parameters.isEmpty }

  /// Refuses target parameters that no module of the base has.
  func check(_ base: BaseShape, _ config: AdapterConfig) throws(AdapterError) {
    for parameter in parameters {
      let isKnown = base.modules.contains { module in
        let name = module.parameter == nil ? module.path + ".weight" : module.name
        return name == parameter || name.hasSuffix(".\(parameter)")
      }
      guard isKnown else {
        throw .malformedOption(
          location: config.location, option: "target_parameters", expected: "names of parameters of the base",
          found: "'\(parameter)'")
      }
    }
  }

  /// Whether a stacked parameter is adapted.
  func contains(parameter module: BaseModule) -> Bool { namesParameter(module.name) }

  private func namesParameter(_ name: String) -> Bool {
    parameters.contains { name == $0 || name.hasSuffix(".\($0)") }
  }

  /// Whether the config adapts a module; true for all when nothing is stated.
  func contains(_ module: BaseModule) throws(AdapterError) -> Bool {
    try contains(module.path, layer: module.sites.first?.layer, isLinear: module.sites.allSatisfy(\.isPlainLinear))
  }

  /// Whether the config adapts a module that is no linear map of a layer: the embedding, a norm.
  func contains(path: String, layer: Int? = nil) throws(AdapterError) -> Bool {
    try contains(path, layer: layer, isLinear: false)
  }

  private func contains(_ path: String, layer: Int?, isLinear: Bool) throws(AdapterError) -> Bool {
    if let exclude, try TargetModules.matches(exclude, path) { return false }
    if namesParameter(path + ".weight") { return true }
    guard let target else { return parameters.isEmpty }
    if case .allLinear = target { return isLinear }
    guard try TargetModules.matches(target, path) else { return false }
    // A module that is listed by its whole path is adapted whatever the layers.
    if case .ends(let names) = target, names.contains(path) { return true }
    guard let layers else { return true }
    guard let layer, layers.contains(layer) else { return false }
    for pattern in layerPatterns where try pattern.matches(path) { return true }
    return layerPatterns.isEmpty
  }

  private static func names(_ option: String, _ config: AdapterConfig) throws(AdapterError) -> Names? {
    guard let names = try config.strings(option), !names.isEmpty, names != [""] else { return nil }
    guard config[option]?.string != nil else { return .ends(names) }
    return .expression(try NamePattern(names[0], option: option, location: config.location))
  }

  private static func matches(_ names: Names, _ path: String) throws(AdapterError) -> Bool {
    switch names {
    case .ends(let names): names.contains { path == $0 || path.hasSuffix(".\($0)") }
    case .expression(let pattern): try pattern.matches(path)
    case .allLinear: true
    }
  }
}

extension WeightSite {
  /// Whether transformers has a linear module for it, apart from the head: experts and their scores are parameters.
  fileprivate var isPlainLinear: Bool {
    switch self {
    case .layer(_, let projection): projection != .router
    case .expert, .outputHead: false
    }
  }
}
