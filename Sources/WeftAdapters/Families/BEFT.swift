// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// BEFT (https://arxiv.org/abs/2509.15974): `beft_bias` [1, out] is added to the bias of a module, or is one where it has none.
enum BEFT {
  private static let bias = "beft_bias"

  private static let rules = AdapterConfig.rules(read: [])

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let modules = try files.targetedModules([bias], base: model.shape)
    var builder = try DeltaBuilder(model, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let values = try files.takeFloats(try tensors.name(bias), shape: [1, model.size(of: tensors.module).out])
      try builder.add(to: tensors.module) { rows throws(DeltaError) in .bias(try BiasDelta(Array(values[rows]))) }
    }
    return builder.deltas
  }
}
