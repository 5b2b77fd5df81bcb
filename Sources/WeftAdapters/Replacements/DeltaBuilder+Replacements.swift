// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension DeltaBuilder {
  /// Takes the tensors of the base that the options say the adapter brings whole, and embedding and head where they are stored
  /// beside it (PEFT's `save_embedding_layers`). They act before everything else, so it is called before operators are added and
  /// after the family has recognized its own tensors.
  ///
  /// - Parameter adapted: paths of the modules that the family adapts.
  /// Throws where a module that is to be replaced has no tensor, or the base no such module.
  mutating func addReplacements(
    _ options: ReplacementOptions, from files: inout AdapterFolder, adapted: Set<String>
  ) throws(AdapterError) {
    let shape = base.shape
    var taken: [BaseTensorName.Part: String] = [:]
    var norms: [NormSite: (weight: [Float]?, bias: [Float]?)] = [:]
    for name in files.unrecognizedNames {
      guard let tensor = BaseTensorName(name, base: shape) else { continue }
      files.recognize(name)
      guard isReplaced(tensor, options, adapted) else { continue }
      if let other = taken.updateValue(name, forKey: tensor.part) {
        throw .duplicateTensor(location: location, tensor: other, other: name)
      }
      switch tensor.owner {
      case .linear(let module) where tensor.isBias:
        let values = try files.takeFloats(name, shape: [base.size(of: module).out])
        try add(to: module) { rows throws(DeltaError) in .bias(try BiasDelta(Array(values[rows]), isReplacement: true)) }
      case .linear(let module), .stacked(let module):
        let weight = try takeWeight(name, of: module, from: &files)
        try add(to: module) { rows throws(DeltaError) in .replace(try WeightReplacement(weight.slice(rows: rows))) }
      case .norm(let norm):
        let values = try files.takeFloats(name, shape: [norm.size])
        if tensor.isBias {
          norms[norm.site, default: (nil, nil)].bias = values
        } else {
          norms[norm.site, default: (nil, nil)].weight = values.map { $0 + norm.offset }
        }
      case .embedding(let embedding):
        let weight = try files.take(name, shape: [embedding.vocabularySize, embedding.hiddenSize])
        deltas.embedding.append(.replace(weight))
        if tensor.isWrapped || options.tiesHead { try tieHead(to: weight, in: files) }
      case .positions(let positions):
        let new = try files.takeFloats(name, shape: [positions.vocabularySize, positions.hiddenSize])
        let change = zip(new, try values().positions()).map { $0 - $1 }
        deltas.embedding.append(
          .positions(try makeTensor(change, [positions.vocabularySize, positions.hiddenSize])))
      }
    }
    for (site, norm) in norms {
      do { deltas.norms[site] = try NormReplacement(weight: norm.weight, bias: norm.bias) } catch {
        throw .part(location: location, part: "norm \(site)", error)
      }
    }
    try requireModules(options, taken, files)
    try requireBiases(options, taken, adapted)
  }

  private func isReplaced(_ tensor: BaseTensorName, _ options: ReplacementOptions, _ adapted: Set<String>) -> Bool {
    let path = tensor.owner.path
    if options.names(path) { return true }
    if tensor.isBias { return options.biases == .all || (options.biases == .adapted && adapted.contains(path)) }
    switch tensor.owner {
    case .embedding: return true
    case .linear(let module): return module.sites == [.outputHead]
    case .stacked, .norm, .positions: return false
    }
  }

  /// The weight of a module, [out, in] with the rows of all its sites under each other.
  private func takeWeight(
    _ name: String, of module: BaseModule, from files: inout AdapterFolder
  ) throws(AdapterError) -> Tensor {
    let size = base.size(of: module)
    // A stacked parameter has the rows of each expert by themselves.
    let count = module.parameter == nil ? 1 : module.expertCount
    let rows = size.out / count
    let stored = module.isTransposed ? [size.in, rows] : [rows, size.in]
    let tensor = try files.take(name, shape: module.parameter == nil ? stored : [count] + stored)
    guard module.isTransposed else { return tensor }
    let values = tensor.floats()
    let turned = (0..<count).flatMap { expert in
      LinearAlgebra.transposed(
        Array(values[expert * rows * size.in..<(expert + 1) * rows * size.in]), rows: size.in, columns: rows)
    }
    return try makeTensor(turned, [size.out, size.in])
  }

  /// On a base whose head is its embedding, a head that has no tensor of its own changes with the embedding: PEFT loads into
  /// the one tensor that both are, or ties its copies (`ensure_weight_tying`).
  private mutating func tieHead(to weight: Tensor, in files: AdapterFolder) throws(AdapterError) {
    guard base.shape.isTied, let head = base.shape.modules.first(where: { $0.sites == [.outputHead] }),
      !files.tensorNames.contains(where: { name in
        guard let tensor = BaseTensorName(name, base: base.shape), !tensor.isBias else { return false }
        return tensor.owner.path == head.path
      })
    else { return }
    try add(to: head) { _ throws(DeltaError) in .replace(try WeightReplacement(weight)) }
  }

  private func requireModules(
    _ options: ReplacementOptions, _ taken: [BaseTensorName.Part: String], _ files: AdapterFolder
  ) throws(AdapterError) {
    let shape = base.shape
    let paths =
      [shape.embedding.path] + (shape.positions.map { [$0.path] } ?? []) + shape.modules.filter(\.isPublished).map(\.name)
      + shape.norms.map(\.path)
    for name in options.modules {
      let named = paths.filter { ReplacementOptions.names($0, [name]) }
      guard !named.isEmpty else {
        throw .malformedOption(
          location: files.config.location, option: "modules_to_save", expected: "modules of this base", found: "'\(name)'")
      }
    }
    for path in paths where options.names(path) && taken[.init(path: path, isBias: false)] == nil {
      let isStacked = shape.modules.contains { $0.parameter != nil && $0.name == path }
      // A fused module of the published model may be stored in parts.
      if let module = shape.module(at: path), isCovered(module, taken) { continue }
      throw .missingTensor(location: location, tensor: AdapterFolder.prefix + path + (isStacked ? "" : ".weight"))
    }
  }

  private func isCovered(_ module: BaseModule, _ taken: [BaseTensorName.Part: String]) -> Bool {
    module.sites.allSatisfy { site in
      base.shape.modules.contains { $0.sites.contains(site) && taken[.init(path: $0.name, isBias: false)] != nil }
    }
  }

  /// Where the base has biases that all are replaced, none may be missing. Known only with the base's values.
  private func requireBiases(
    _ options: ReplacementOptions, _ taken: [BaseTensorName.Part: String], _ adapted: Set<String>
  ) throws(AdapterError) {
    guard options.biases != .none, let values = base.values else { return }
    for module in base.shape.modules where module.isPublished && module.parameter == nil && module.expertCount == 0 {
      guard options.biases == .all || adapted.contains(module.path), values.bias(of: module) != nil,
        taken[.init(path: module.path, isBias: true)] == nil
      else { continue }
      throw .missingTensor(location: location, tensor: AdapterFolder.prefix + module.path + ".bias")
    }
  }
}

extension BaseModule {
  /// How many experts its rows belong to; 0 for a module that is no expert's.
  var expertCount: Int {
    Set(sites.compactMap { if case .expert(_, let expert, _) = $0 { expert } else { nil } }).count
  }
}
