// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// The tensors of a LoRA file, by the part of the base that they belong to.
struct LoRATensors {
  enum Parameter: CaseIterable {
    case a, b, bias, magnitude, diagonal, embeddingA, embeddingB

    /// What follows the path in the file.
    var spellings: [String] {
      switch self {
      case .a: ["lora_A.weight"]
      case .b: ["lora_B.weight"]
      case .bias: ["lora_B.bias"]
      // The second one is that of versions before 0.12.
      case .magnitude: ["lora_magnitude_vector", "lora_magnitude_vector.weight"]
      case .diagonal: ["lora_diag"]
      case .embeddingA: ["lora_embedding_A"]
      case .embeddingB: ["lora_embedding_B"]
      }
    }
  }

  typealias Names = [Parameter: String]

  /// In the order of the base.
  private(set) var modules: [(module: BaseModule, names: Names)] = []
  /// Of modules with stacked parameters, by how many `base_layer` follow the path.
  private(set) var experts: [(path: String, pairs: [Int: Names])] = []
  private(set) var embedding: Names = [:]
  /// Of learned positions.
  private(set) var positions: Names = [:]

  /// Tensors that only training uses: VeLoRA's projection, MonteCLoRA's sampler.
  private static let inert = [".lora_velora_embed", ".lora_monteclora_sampler"]

  /// Throws for parameters of LoRA at modules that the base does not have, and for two names of one tensor. Other names are
  /// left to the reader.
  init(_ folder: inout AdapterFolder, base: BaseShape) throws(AdapterError) {
    var modules: [BaseModule: Names] = [:]
    var experts: [String: [Int: Names]] = [:]
    for name in folder.tensorNames {
      guard let (path, parameter) = LoRATensors.split(name) else {
        if LoRATensors.inert.contains(where: name.contains) { folder.discard(name) }
        continue
      }
      folder.recognize(name)
      var other: String?
      if let module = base.module(at: path) {
        other = modules[module, default: [:]].updateValue(name, forKey: parameter)
      } else if base.isEmbedding(path) {
        other = embedding.updateValue(name, forKey: parameter)
      } else if base.isPositions(path) {
        other = positions.updateValue(name, forKey: parameter)
      } else {
        var (outer, depth) = (path, 0)
        while outer.hasSuffix(".base_layer") {
          outer.removeLast(".base_layer".count)
          depth += 1
        }
        guard !base.parameters(at: outer).isEmpty else {
          throw folder.unknownModule(name, path, Parameter.a.spellings + Parameter.b.spellings, base)
        }
        other = experts[outer, default: [:]][depth, default: [:]].updateValue(name, forKey: parameter)
      }
      if let other { throw .duplicateTensor(location: folder.tensorsLocation, tensor: other, other: name) }
    }
    self.modules = base.modules.compactMap { module in modules[module].map { (module, $0) } }
    self.experts = experts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  /// What follows the path of a module, in every spelling.
  private static let parameters: [String: Parameter] = {
    var parameters: [String: Parameter] = [:]
    for parameter in Parameter.allCases {
      for spelling in parameter.spellings {
        for tail in [spelling, AdapterFolder.adapterSpelling(spelling)] { parameters[tail] = parameter }
      }
    }
    return parameters
  }()

  /// As `AdapterFolder.split`, for all parameters at once.
  static func split(_ name: String) -> (path: String, parameter: Parameter)? {
    guard let range = name.firstRange(of: ".lora_"),
      let parameter = parameters[String(name[name.index(after: range.lowerBound)...])]
    else { return nil }
    let path = name[..<range.lowerBound]
    return (String(path.hasPrefix(AdapterFolder.prefix) ? path.dropFirst(AdapterFolder.prefix.count) : path), parameter)
  }

  /// The name of a parameter; an error that spells the missing one as its partner is spelled.
  static func name(
    _ parameter: Parameter, in names: Names, _ location: String
  ) throws(AdapterError) -> String {
    if let name = names[parameter] { return name }
    for (partner, other) in names {
      for own in partner.spellings {
        for (spelling, missing) in [
          (own, parameter.spellings[0]),
          (AdapterFolder.adapterSpelling(own), AdapterFolder.adapterSpelling(parameter.spellings[0])),
        ] where other.hasSuffix("." + spelling) {
          throw .missingTensor(location: location, tensor: other.dropLast(spelling.count) + missing)
        }
      }
    }
    preconditionFailure("a module is known by at least one of its tensors")
  }
}
