// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// LoRA (https://arxiv.org/abs/2106.09685): y = W x + scale * B (A x), with scale = alpha / rank, or alpha / sqrt(rank) for
/// rank-stabilised LoRA (https://arxiv.org/abs/2312.03732).
///
/// Tensors per adapted module: `lora_A.weight` [rank, in] and `lora_B.weight` [out, rank]. On a fused module (`qkv_proj`) the
/// rows of B are divided as the module's own rows are, and every part has the same A.
enum LoRA {
  static func resolve(
    _ folder: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let base = model.shape
    let options = try LoRAOptions(folder.config)
    try options.target.check(base, folder.config)
    let factors = try factorNames(in: folder, base: base)
    for names in factors.modules.map(\.names) + factors.experts.flatMap({ $0.pairs.values }) {
      for name in names.values { folder.recognize(name) }
    }
    var found: [(WeightSite, DeltaOperator)] = []
    // What the config does not target stays in the folder, and the reader refuses it.
    for (module, names) in factors.modules where try options.target.contains(module) {
      found += try deltas(module, names, options, &folder, base)
    }
    for (path, pairs) in factors.experts { found += try experts(path, pairs, options, &folder, base) }
    var operators: [WeightSite: DeltaOperator] = [:]
    for (site, delta) in found {
      guard operators.updateValue(delta, forKey: site) == nil else {
        throw .duplicateTensor(
          location: folder.tensorsLocation, tensor: base.path(of: site) ?? "\(site)", other: "another tensor for \(site)")
      }
    }
    try requireTargets(options.target, operators, location: folder.tensorsLocation, base: base)
    return DeltaSet(operators)
  }

  enum Factor: CaseIterable {
    case a, b

    /// What follows the module path on disk. Files that were not written by PEFT's save keep its in-memory adapter name.
    var parameters: [String] {
      switch self {
      case .a: ["lora_A.weight", "lora_A.default.weight"]
      case .b: ["lora_B.weight", "lora_B.default.weight"]
      }
    }
  }

  /// The tensor names in the file, by the modules of the base that they belong to, in the order of their paths.
  private struct FactorNames {
    var modules: [(module: BaseModule, names: [Factor: String])] = []
    /// Of modules with stacked parameters, by how many `base_layer` follow the path.
    var experts: [(path: String, pairs: [Int: [Factor: String]])] = []
  }

  private static func factorNames(in folder: AdapterFolder, base: BaseShape) throws(AdapterError) -> FactorNames {
    var factors: [BaseModule: [Factor: String]] = [:]
    var experts: [String: [Int: [Factor: String]]] = [:]
    let location = folder.tensorsLocation
    for name in folder.tensorNames {
      guard let (path, factor) = split(name) else { throw unknown(name, base, location) }
      guard let module = base.module(at: path) else {
        var (outer, depth) = (path, 0)
        while outer.hasSuffix(".base_layer") {
          outer.removeLast(".base_layer".count)
          depth += 1
        }
        if !base.parameters(at: outer).isEmpty {
          experts[outer, default: [:]][depth, default: [:]][factor] = name
          continue
        }
        guard base.isBeyondLayers(path) else { throw unknown(name, base, location) }
        throw .layerOutOfRange(location: location, tensor: name, layerCount: base.layerCount)
      }
      if let other = factors[module, default: [:]].updateValue(name, forKey: factor) {
        throw .duplicateTensor(location: location, tensor: other, other: name)
      }
    }
    return FactorNames(
      modules: factors.sorted { $0.key.path < $1.key.path }.map { (module: $0.key, names: $0.value) },
      experts: experts.sorted { $0.key < $1.key }.map { (path: $0.key, pairs: $0.value) })
  }

  /// The path of the module and the factor that a tensor name speaks of: `base_model.model.`, the path, the parameter. Files
  /// of other tools leave out the beginning.
  private static func split(_ name: String) -> (path: String, factor: Factor)? {
    for factor in Factor.allCases {
      for parameter in factor.parameters where name.hasSuffix("." + parameter) {
        let path = name.dropLast(parameter.count + 1)
        return (String(path.hasPrefix("base_model.model.") ? path.dropFirst("base_model.model.".count) : path), factor)
      }
    }
    return nil
  }

  private static func unknown(_ name: String, _ base: BaseShape, _ location: String) -> AdapterError {
    let example = base.modules.first?.path ?? "a linear module"
    return .unknownTensor(
      location: location, tensor: name,
      expected: "lora_A.weight or lora_B.weight of a linear module of this base, such as \(example)")
  }

  /// Checks both shapes against config and base before a byte of the tensors is copied.
  private static func deltas(
    _ module: BaseModule, _ names: [Factor: String], _ options: LoRAOptions, _ folder: inout AdapterFolder, _ base: BaseShape
  ) throws(AdapterError) -> [(WeightSite, DeltaOperator)] {
    let location = folder.tensorsLocation
    let sizes = module.sites.compactMap { base.shape(of: $0) }
    let (rows, columns) = (sizes.reduce(0) { $0 + $1.out }, sizes[0].in)
    guard let a = names[.a], let b = names[.b] else {
      throw .missingTensor(location: location, tensor: partner(of: names))
    }
    let rank = try options.rank(of: module)
    let (shapeA, shapeB) = (folder.shape(of: a), folder.shape(of: b))
    guard shapeA.count == 2, shapeA[1] == columns else {
      throw .wrongShape(location: location, tensor: a, expected: [rank, columns], found: shapeA)
    }
    guard shapeA[0] == rank else { throw .wrongRank(location: location, tensor: a, expected: rank, found: shapeA[0]) }
    guard shapeB.count == 2, shapeB[0] == rows else {
      throw .wrongShape(location: location, tensor: b, expected: [rows, rank], found: shapeB)
    }
    guard shapeB[1] == rank else { throw .wrongRank(location: location, tensor: b, expected: rank, found: shapeB[1]) }
    let scale = try options.scale(of: module, rank: rank)
    let (tensorA, tensorB) = (try folder.take(a), try folder.take(b))
    var deltas: [(WeightSite, DeltaOperator)] = []
    var row = 0
    for (site, size) in zip(module.sites, sizes) {
      do throws(DeltaError) {
        let part = tensorB.slice(rows: row..<row + size.out)
        deltas.append((site, .lowRank(try LowRank(a: tensorA, b: part, scale: scale))))
      } catch { throw .delta(location: location, site: site, error) }
      row += size.out
    }
    return deltas
  }

  /// The name that is missing beside the one factor that is there, in the same spelling.
  static func partner(of names: [Factor: String]) -> String {
    for (factor, other) in [(Factor.a, Factor.b), (.b, .a)] {
      guard let name = names[factor] else { continue }
      for (own, missing) in zip(factor.parameters, other.parameters) where name.hasSuffix(own) {
        return name.dropLast(own.count) + missing
      }
    }
    preconditionFailure("a module is known by at least one factor")
  }

  /// A module that the config targets has tensors. One without would be adapted by nothing: the file is incomplete, or the
  /// base is not the one that the adapter was trained on.
  private static func requireTargets(
    _ target: TargetModules, _ operators: [WeightSite: DeltaOperator], location: String, base: BaseShape
  ) throws(AdapterError) {
    guard target.isStated else { return }
    // Experts are modules of their own in some versions of transformers and stacked in others: names that would fit both
    // speak of experts only where the file adapts some in that layer.
    let sparse = Set(operators.keys.compactMap { if case .expert(let layer, _, _) = $0 { layer } else { nil } })
    for module in base.modules where module.isPublished && module.parameter == nil {
      guard try target.contains(module), module.sites.contains(where: { operators[$0] == nil }) else { continue }
      if case .expert(let layer, _, _) = module.sites[0], !sparse.contains(layer) { continue }
      throw .missingTensor(location: location, tensor: "base_model.model.\(module.path).lora_A.weight")
    }
  }
}
