// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// SHiRA (https://arxiv.org/abs/2406.13175): D is zero but for r (in + out) elements.
///
/// Tensors per module: `shira_weight` [n] and `shira_indices` [2, n], rows and columns; elements at one place add up.
enum SHiRA {
  // Inert: how the places were chosen, which are in the file.
  private static let rules = AdapterConfig.rules(
    read: ["r"],
    inert: ["mask_type", "random_seed"])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let rank = try files.config.integer("r", default: 32, atLeast: 1)
    let modules = try files.targetedModules(["shira_weight", "shira_indices"], base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let (module, size) = (tensors.module, base.size(of: tensors.module))
      let (count, overflow) = rank.multipliedReportingOverflow(by: size.in + size.out)
      guard !overflow else { throw builder.malformed("r", expected: "at most \(size.out)", found: "\(rank)", module) }
      let values = try files.takeFloats(tensors.name("shira_weight"), shape: [count])
      let indices = try files.takeIndices(
        tensors.name("shira_indices"), shape: [2, count], below: max(size.out, size.in))
      var positions: [Int] = []
      positions.reserveCapacity(count)
      for (row, column) in zip(indices[..<count], indices[count...]) {
        guard (0..<size.out).contains(row), (0..<size.in).contains(column) else {
          throw builder.malformed(
            "shira_indices", expected: "places in [\(size.out), \(size.in)]", found: "(\(row), \(column))", module)
        }
        positions.append(row * size.in + column)
      }
      try builder.addStructured(scale: 1, to: module) { () throws(StructuredError) in
        try .sparse(positions: positions, values: values, out: size.out, in: size.in)
      }
    }
    return builder.deltas
  }
}
