// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// LN tuning (https://arxiv.org/abs/2312.11420): norms with weights, and biases where they have some, of their own:
/// `ln_tuning_layers.weight` and `.bias` behind the path of the norm.
enum LNTuning {
  private static let weight = "ln_tuning_layers.weight"
  private static let bias = "ln_tuning_layers.bias"
  private static let rules = AdapterConfig.rules(read: [])

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let target = try TargetModules(files.config)
    let location = files.tensorsLocation
    var names: [String: (weight: String?, bias: String?)] = [:]
    for name in files.tensorNames {
      guard let (path, parameter) = AdapterFolder.split(name, [weight, bias]) else { continue }
      guard let norm = model.shape.norm(at: path) else {
        throw .unknownTensor(
          location: location, tensor: name,
          expected: "a norm of this base, such as \(model.shape.norms.first?.path ?? "none")")
      }
      files.recognize(name)
      var own = names[norm.path] ?? (nil, nil)
      if let other = parameter == weight ? own.weight : own.bias {
        throw .duplicateTensor(location: location, tensor: other, other: name)
      }
      if parameter == weight { own.weight = name } else { own.bias = name }
      names[norm.path] = own
    }
    var builder = try DeltaBuilder(model, &files, adapting: [])
    for norm in model.shape.norms {
      guard try target.contains(path: norm.path) else { continue }
      let own = names[norm.path] ?? (nil, nil)
      guard own.weight != nil || own.bias != nil || target.isStated else { continue }
      guard let weightName = own.weight else {
        throw .missingTensor(location: location, tensor: "\(AdapterFolder.prefix)\(norm.path).\(weight)")
      }
      guard own.bias != nil || !norm.hasBias else {
        throw .missingTensor(location: location, tensor: "\(AdapterFolder.prefix)\(norm.path).\(bias)")
      }
      let values = try files.takeFloats(weightName, shape: [norm.size]).map { $0 + norm.offset }
      // The bias of a norm that has none stays in the folder, and the reader refuses it.
      let biases =
        norm.hasBias
        ? try own.bias.map { name throws(AdapterError) in
          try files.takeFloats(name, shape: [norm.size])
        } : nil
      do { builder.deltas.norms[norm.site] = try NormReplacement(weight: values, bias: biases) } catch {
        throw .part(location: location, part: weightName, error)
      }
    }
    return builder.deltas
  }
}
