// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// LoRA (https://arxiv.org/abs/2106.09685): y = W x + scale * B (A x), with scale = alpha / rank, or alpha / sqrt(rank) for
/// rank-stabilised LoRA (https://arxiv.org/abs/2312.03732).
///
/// Tensors per adapted module: `lora_A.weight` [rank, in] and `lora_B.weight` [out, rank].
enum LoRA {
  static func resolve(_ folder: inout AdapterFolder, base: BaseShape) throws(AdapterError) -> DeltaSet {
    let options = try LoRAOptions(folder.config)
    let factors = try factorNames(in: folder, base: base)
    var operators: [WeightSite: DeltaOperator] = [:]
    // What the config does not target stays in the folder, and the reader refuses it.
    for (site, names) in factors.sorted(by: { $0.key < $1.key }) where try options.target.contains(site) {
      operators[site] = try delta(site, names, options, &folder, base)
    }
    try requireTargets(options.target, operators, location: folder.tensorsLocation, base: base)
    return DeltaSet(operators)
  }

  private enum Factor: CaseIterable {
    case a, b

    /// What follows the module path on disk. Files that were not written by PEFT's save keep its in-memory adapter name.
    var parameters: [String] {
      switch self {
      case .a: ["lora_A.weight", "lora_A.default.weight"]
      case .b: ["lora_B.weight", "lora_B.default.weight"]
      }
    }
  }

  /// The tensor names of every module in the file, each for a weight that the base has.
  private static func factorNames(
    in folder: AdapterFolder, base: BaseShape
  ) throws(AdapterError) -> [WeightSite: [Factor: String]] {
    var factors: [WeightSite: [Factor: String]] = [:]
    let location = folder.tensorsLocation
    for name in folder.tensorNames {
      guard let (site, parameter) = WeightSite.split(tensorName: name),
        let factor = Factor.allCases.first(where: { $0.parameters.contains(parameter) })
      else {
        throw .unknownTensor(
          location: location, tensor: name,
          expected: "lora_A.weight or lora_B.weight of a linear map in a Llama's layers, or of lm_head")
      }
      guard base.shape(of: site) != nil else {
        if case .outputHead = site { throw .noOutputHead(location: location, tensor: name) }
        throw .layerOutOfRange(location: location, tensor: name, layerCount: base.layerCount)
      }
      if let other = factors[site, default: [:]].updateValue(name, forKey: factor) {
        throw .duplicateTensor(location: location, tensor: other, other: name)
      }
    }
    return factors
  }

  /// Checks both shapes against config and base before a byte of the tensors is copied.
  private static func delta(
    _ site: WeightSite, _ names: [Factor: String], _ options: LoRAOptions, _ folder: inout AdapterFolder, _ base: BaseShape
  ) throws(AdapterError) -> DeltaOperator {
    let location = folder.tensorsLocation
    guard let shape = base.shape(of: site) else { preconditionFailure("sites were checked when names were") }
    guard let a = names[.a], let b = names[.b] else {
      throw .missingTensor(location: location, tensor: partner(of: names))
    }
    let rank = try options.rank(of: site)
    let (shapeA, shapeB) = (folder.shape(of: a), folder.shape(of: b))
    guard shapeA.count == 2, shapeA[1] == shape.in else {
      throw .wrongShape(location: location, tensor: a, expected: [rank, shape.in], found: shapeA)
    }
    guard shapeA[0] == rank else { throw .wrongRank(location: location, tensor: a, expected: rank, found: shapeA[0]) }
    guard shapeB.count == 2, shapeB[0] == shape.out else {
      throw .wrongShape(location: location, tensor: b, expected: [shape.out, rank], found: shapeB)
    }
    guard shapeB[1] == rank else { throw .wrongRank(location: location, tensor: b, expected: rank, found: shapeB[1]) }
    let scale = try options.scale(of: site, rank: rank)
    let (tensorA, tensorB) = (try folder.take(a), try folder.take(b))
    do throws(DeltaError) {
      return .lowRank(try LowRank(a: tensorA, b: tensorB, scale: scale))
    } catch { throw .delta(location: location, site: site, error) }
  }

  /// The name that is missing beside the one factor that is there, in the same spelling.
  private static func partner(of names: [Factor: String]) -> String {
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
    let layers = (0..<base.layerCount).flatMap { layer in Projection.allCases.map { WeightSite.layer(layer, $0) } }
    for site in layers + (base.hasOutputHead ? [.outputHead] : []) where operators[site] == nil {
      guard try !target.contains(site) else {
        throw .missingTensor(location: location, tensor: "base_model.model.\(site.modulePath).lora_A.weight")
      }
    }
  }
}
