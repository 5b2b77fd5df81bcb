// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// C3A (https://arxiv.org/abs/2407.19342): D = 1 / in times a matrix of circulant blocks.
///
/// Tensor per module: `c3a_kernel` [out / b, in / b, b]; element (t, j) of block (p, q) is kernel[p, q, (j - t) mod b].
enum C3A {
  private static let rules = AdapterConfig.rules(
    read: ["block_size", "block_size_pattern"])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let standard = try config.integer("block_size", default: 256, atLeast: 1)
    let patterns = try PatternOption("block_size_pattern", config, needsDot: true)
    var transforms: [Int: FourierTransform] = [:]
    let modules = try files.targetedModules(["c3a_kernel"], base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let module = tensors.module
      let (out, inputs) = base.size(of: module)
      let block = try patterns.integer(for: module, default: standard)
      guard out % block == 0, inputs % block == 0 else {
        throw builder.malformed("block_size", expected: "a divisor of [\(out), \(inputs)]", found: "\(block)", module)
      }
      let kernel = try files.take(tensors.name("c3a_kernel"), shape: [out / block, inputs / block, block])
      try builder.addStructured(scale: 1 / Float(inputs), to: module) { () throws(StructuredError) in
        if transforms[block] == nil { transforms[block] = try FourierTransform(count: block) }
        guard let transform = transforms[block] else { preconditionFailure("it was just made") }
        return try .circulant(kernel: kernel, transform: transform)
      }
    }
    return builder.deltas
  }
}
