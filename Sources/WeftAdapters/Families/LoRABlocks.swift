// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// BD-LoRA (https://arxiv.org/abs/2510.23346): A of some modules, or B of others, is block-diagonal, and the file has the blocks
/// under each other.
struct LoRABlocks {
  private let count: Int
  /// Parts of the last component of a path.
  private let inA: [String]
  private let inB: [String]
  private let isStrict: Bool
  private let location: String

  private static let members = ["nblocks", "target_modules_bd_a", "target_modules_bd_b", "match_strict"]

  init?(_ config: AdapterConfig) throws(AdapterError) {
    let options = try config.members("use_bdlora")
    guard !options.isEmpty else { return nil }
    location = config.location
    var values: [String: (integer: Int?, names: [String]?, bool: Bool?)] = [:]
    for (key, value) in options where !value.isNull {
      guard LoRABlocks.members.contains(key) else {
        throw .unknownOption(location: config.location, option: "use_bdlora.\(key)", found: value.kind)
      }
      let names = value.array?.compactMap(\.string)
      values[key] = (value.int, names?.count == value.array?.count ? names : nil, value.bool)
    }
    guard let count = values["nblocks"]?.integer, count > 0 else {
      throw config.malformed("use_bdlora.nblocks", expected: "a number of at least 1", found: config["use_bdlora"])
    }
    self.count = count
    inA = values["target_modules_bd_a"]?.names ?? []
    inB = values["target_modules_bd_b"]?.names ?? []
    isStrict = values["match_strict"]?.bool ?? true
  }

  /// How many blocks A and B of a module have; 1 where they are whole.
  func counts(of module: BaseModule) throws(AdapterError) -> (a: Int, b: Int) {
    let name = module.path.split(separator: ".").last.map(String.init) ?? ""
    let (isInA, isInB) = (inA.contains { name.contains($0) }, inB.contains { name.contains($0) })
    guard isInA != isInB || (!isInA && !isStrict) else {
      throw .malformedOption(
        location: location, option: "use_bdlora", expected: "\(isInA ? "A or B" : "A, or B,") of \(module.path) in blocks",
        found: isInA ? "both" : "neither")
    }
    return (isInA ? count : 1, isInB ? count : 1)
  }

  /// The matrix [rows, columns] whose `count` blocks lie under each other in `blocks` [rows, columns / count].
  static func diagonal(_ blocks: Tensor, count: Int) throws(AdapterError) -> Tensor {
    let (rows, width) = (blocks.rows, blocks.columns)
    let values = blocks.floats()
    var matrix = [Float](repeating: 0, count: rows * width * count)
    for row in 0..<rows {
      let start = row * width * count + row / (rows / count) * width
      for i in 0..<width { matrix[start + i] = values[row * width + i] }
    }
    return try makeTensor(matrix, [rows, width * count])
  }
}
