// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension AdapterFolder {
  /// The tensors of the modules that the config adapts, in the order of the model.
  ///
  /// Those of other modules are left, and `AdapterReader` refuses them. Throws where a module that the config names has no
  /// tensor: the file is incomplete, or the base is not the one that the adapter was trained on.
  mutating func targetedModules(_ parameters: [String], base: BaseShape) throws(AdapterError) -> [ModuleTensors] {
    let (target, replaced) = (try TargetModules(config), try ReplacementOptions(config))
    var adapted: [ModuleTensors] = []
    for tensors in try modules(parameters, base: base) where try target.contains(tensors.module) { adapted.append(tensors) }
    guard target.isStated else { return adapted }
    let sites = Set(adapted.flatMap(\.module.sites))
    // Experts are modules of their own in some versions of transformers and stacked in others: names that would fit both
    // speak of experts only where the file adapts some in that layer.
    let sparse = Set(sites.compactMap { if case .expert(let layer, _, _) = $0 { layer } else { nil } })
    for module in base.modules where module.isPublished && module.parameter == nil {
      guard try target.contains(module), module.sites.contains(where: { !sites.contains($0) }) else { continue }
      if case .expert(let layer, _, _) = module.sites[0], !sparse.contains(layer) { continue }
      // PEFT does not wrap what it replaces.
      if replaced.names(module.path) { continue }
      throw .missingTensor(location: tensorsLocation, tensor: "\(AdapterFolder.prefix)\(module.path).\(parameters[0])")
    }
    return adapted
  }

  /// The modules that the config adapts by its words alone, for families whose file has no tensors of theirs: nn.Linear and
  /// Conv1D of the published model, in its order.
  func namedModules(base: BaseShape) throws(AdapterError) -> [BaseModule] {
    let target = try TargetModules(config)
    guard target.isStated else {
      throw config.malformed(
        "target_modules", expected: "the modules that are adapted: the tensors do not tell", found: config["target_modules"])
    }
    var modules: [BaseModule] = []
    for module in base.modules where module.isPublished && module.parameter == nil && module.sites.allSatisfy(\.isLinearModule)
    {
      if try target.contains(module) { modules.append(module) }
    }
    return modules
  }

  /// The name of a tensor that belongs to the whole model, as PEFT saves it (`base_model.vera_A`) or has it in memory
  /// (`base_model.vera_A.default`); nil when the file has none.
  func modelTensor(_ parameter: String) -> String? {
    let name = "base_model.\(parameter)"
    return [name, name + ".default"].first { has($0) }
  }

  /// As `modelTensor`, for a tensor that must be there.
  func requireModelTensor(_ parameter: String) throws(AdapterError) -> String {
    guard let name = modelTensor(parameter) else {
      throw .missingTensor(location: tensorsLocation, tensor: "base_model.\(parameter)")
    }
    return name
  }

  /// Refuses a tensor whose rank is not that of the config.
  func requireRank(_ name: String, _ expected: Int, axis: Int) throws(AdapterError) {
    let shape = shape(of: name)
    guard axis < shape.count, shape[axis] != expected else { return }
    throw .wrongRank(location: tensorsLocation, tensor: name, expected: expected, found: shape[axis])
  }
}

extension WeightSite {
  /// Whether transformers has an nn.Linear or Conv1D for it: experts and their scores are parameters.
  var isLinearModule: Bool {
    switch self {
    case .layer(_, let projection): projection != .router
    case .outputHead: true
    case .expert: false
    }
  }
}
