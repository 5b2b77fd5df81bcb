// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// The tensors that a file has for one linear module of the base.
struct ModuleTensors {
  let module: BaseModule
  /// The names in the file, by the parameter: `lora_A.weight`.
  let names: [String: String]
  let location: String

  /// The name of a parameter's tensor; an error that names the tensor when the file has none.
  func name(_ parameter: String) throws(AdapterError) -> String {
    guard let name = names[parameter] else {
      throw .missingTensor(location: location, tensor: "base_model.model.\(module.path).\(parameter)")
    }
    return name
  }
}

extension AdapterFolder {
  /// The tensors called `base_model.model.`, the path of a linear module, `.`, one of `parameters`; by module, in the order of
  /// the model. The beginning may be missing, and files that PEFT's save did not write have the adapter's name in the middle
  /// (`lora_A.default.weight`). Other names, and the embedding, are left alone: `AdapterReader` refuses what nobody takes.
  ///
  /// Throws for modules that the base does not have, and where two names mean one tensor or two modules one weight.
  /// - Parameter others: names that are left alone although they end so.
  mutating func modules(
    _ parameters: [String], base: BaseShape, except others: Set<String> = []
  ) throws(AdapterError) -> [ModuleTensors] {
    var found: [BaseModule: [String: String]] = [:]
    var owners: [WeightSite: BaseModule] = [:]
    for name in tensorNames where !others.contains(name) {
      guard let (path, parameter) = AdapterFolder.split(name, parameters), !base.isEmbedding(path) else { continue }
      guard let module = base.module(at: path) else { throw unknownModule(name, path, parameters, base) }
      recognize(name)
      if let other = found[module, default: [:]].updateValue(name, forKey: parameter) {
        throw .duplicateTensor(location: tensorsLocation, tensor: other, other: name)
      }
      for site in module.sites {
        if let other = owners.updateValue(module, forKey: site), other != module {
          throw .duplicateTensor(
            location: tensorsLocation, tensor: name, other: found[other]?.values.min() ?? "another tensor for \(site)")
        }
      }
    }
    let location = tensorsLocation
    return base.modules.compactMap { module in
      found[module].map { ModuleTensors(module: module, names: $0, location: location) }
    }
  }

  /// The path and the parameter that a tensor name speaks of; nil when it is none of the parameters.
  static func split(_ name: String, _ parameters: [String]) -> (path: String, parameter: String)? {
    for parameter in parameters {
      for spelling in [parameter, adapterSpelling(parameter)] where name.hasSuffix("." + spelling) {
        let path = name.dropLast(spelling.count + 1)
        return (String(path.hasPrefix(prefix) ? path.dropFirst(prefix.count) : path), parameter)
      }
    }
    return nil
  }

  /// What stands before the path of a module.
  static let prefix = "base_model.model."

  /// `lora_A.weight` with PEFT's in-memory name of the adapter: `lora_A.default.weight`; `ia3_l`: `ia3_l.default`.
  static func adapterSpelling(_ parameter: String) -> String {
    guard let dot = parameter.firstIndex(of: ".") else { return parameter + ".default" }
    return parameter[..<dot] + ".default" + parameter[dot...]
  }

  func unknownModule(
    _ name: String, _ path: String, _ parameters: [String], _ base: BaseShape
  ) -> AdapterError {
    if base.isBeyondLayers(path) {
      return .layerOutOfRange(location: tensorsLocation, tensor: name, layerCount: base.layerCount)
    }
    let example = base.modules.first?.path ?? "a linear module"
    return .unknownTensor(
      location: tensorsLocation, tensor: name,
      expected: "\(parameters.joined(separator: " or ")) of a linear module of this base, such as \(example)")
  }

  /// Throws unless the tensor has this shape.
  func requireShape(_ name: String, _ expected: [Int]) throws(AdapterError) {
    let found = shape(of: name)
    guard found == expected else {
      throw .wrongShape(location: tensorsLocation, tensor: name, expected: expected, found: found)
    }
  }

  /// A tensor of this shape, which must be of floats; not yet copied when the shape is wrong.
  mutating func take(_ name: String, shape expected: [Int]) throws(AdapterError) -> Tensor {
    try requireShape(name, expected)
    return try takeWeights(name)
  }

  /// A tensor of floats of any shape; a quantised one of a pack is widened.
  mutating func takeWeights(_ name: String) throws(AdapterError) -> Tensor {
    let stored = try take(name)
    let tensor: Tensor
    do { tensor = stored.dtype.isQuantized ? try stored.converted(to: .f32) : stored } catch { throw .storage(error) }
    guard [.f32, .f16, .bf16].contains(tensor.dtype) else {
      throw .wrongType(location: tensorsLocation, tensor: name, expected: "F32, F16 or BF16", found: tensor.dtype.name)
    }
    return tensor
  }

  /// Its values, widened to f32.
  mutating func takeFloats(_ name: String, shape expected: [Int]) throws(AdapterError) -> [Float] {
    try take(name, shape: expected).floats()
  }
}
