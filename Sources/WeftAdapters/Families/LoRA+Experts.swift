// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension LoRA {
  /// The deltas of stacked experts (PEFT's `target_parameters`).
  ///
  /// A module whose parameters are adapted holds one pair of tensors for each: the last one under its own name, those before
  /// it under `base_layer`, in the order of the module. A [experts * rank, in] is divided by expert, B [out, rank * experts]
  /// by rank and then by expert.
  static func addExperts(
    _ path: String, _ pairs: [Int: LoRATensors.Names], _ options: LoRAOptions, from folder: inout AdapterFolder,
    to builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let location = folder.tensorsLocation
    if let other = options.variantOfModules {
      throw .unsupportedOption(
        location: folder.config.location, option: "target_parameters", expected: "none beside \(other)", found: path)
    }
    let parameters = builder.base.shape.parameters(at: path).filter(options.target.contains(parameter:))
    for (depth, names) in pairs.sorted(by: { $0.key < $1.key }) {
      // Depth 0 is the outermost, which is the last parameter.
      let index = parameters.count - 1 - depth
      guard parameters.indices.contains(index) else { continue }
      try divide(parameters[index], names, options, from: &folder, to: &builder)
    }
    guard pairs.count >= parameters.count else {
      let layers = String(repeating: ".base_layer", count: pairs.count)
      throw .missingTensor(location: location, tensor: "\(AdapterFolder.prefix)\(path)\(layers).lora_A.weight")
    }
  }

  private static func divide(
    _ module: BaseModule, _ names: LoRATensors.Names, _ options: LoRAOptions, from folder: inout AdapterFolder,
    to builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let location = folder.tensorsLocation
    let count = module.expertCount
    let size = builder.base.size(of: module)
    let (rows, sites) = (size.out / count, module.sites.count / count)
    let rank = try options.ranks.rank(of: module.name)
    let scale = try options.ranks.scale(of: module.name, rank: rank)
    let a = try LoRATensors.name(.a, in: names, location)
    let b = try LoRATensors.name(.b, in: names, location)
    try folder.requireShape(a, [count * rank, size.in])
    try folder.requireShape(b, [rows, rank * count])
    let (tensorA, tensorB) = (try folder.takeWeights(a), try folder.takeWeights(b))
    let all = tensorB.floats()
    for expert in 0..<count {
      var values = [Float](repeating: 0, count: rows * rank)
      for row in 0..<rows {
        for r in 0..<rank { values[row * rank + r] = all[(row * rank + r) * count + expert] }
      }
      let own = tensorA.slice(rows: expert * rank..<(expert + 1) * rank)
      let stacked: Tensor
      do { stacked = try Tensor(rounding: values, shape: [rows, rank], to: tensorB.dtype) } catch { throw .storage(error) }
      let part = BaseModule(path: module.path, sites: Array(module.sites[expert * sites..<(expert + 1) * sites]))
      try builder.addLowRank(own, stacked, scale: scale, to: part)
    }
  }
}
