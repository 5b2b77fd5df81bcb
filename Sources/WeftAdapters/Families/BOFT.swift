// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// BOFT (https://arxiv.org/abs/2311.06243): W <- diag(s) W T' with T = B_m ... B_1 and B_i = P_i blockdiag(Q_i) P_i', where the
/// permutations are those of a butterfly; the bias stays.
///
/// Per module `boft_R` [m, blocks, b, b], with Q the Cayley transform of its skew-symmetric half, and `boft_s` [out, 1].
enum BOFT {
  private static let matrices = "boft_R"
  private static let scales = "boft_s"

  private static let rules = AdapterConfig.rules(
    read: ["boft_block_size", "boft_block_num", "boft_n_butterfly_factor"], inert: ["boft_dropout"])

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let modules = try files.targetedModules([matrices, scales], base: model.shape)
    var builder = try DeltaBuilder(model, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let size = model.size(of: tensors.module)
      let name = try tensors.name(matrices)
      let shape = try matrixShape(files.shape(of: name), width: size.in, config)
      let values = try files.takeFloats(name, shape: shape)
      let factors = try files.takeFloats(try tensors.name(scales), shape: [size.out, 1])
      // T' x = B_1' ... B_m' x: the last level acts first.
      for level in (0..<shape[0]).reversed() {
        let blocks = try transposedBlocks(values, level: level, shape, name, files)
        let order = level == 0 ? nil : order(level: level, shape: shape)
        try builder.add(to: tensors.module) { _ throws(DeltaError) in
          .rotate(try RotationDelta(.blocks(blocks, order: order)))
        }
      }
      try builder.add(to: tensors.module) { rows throws(DeltaError) in
        .scale(try ScaleDelta(.product, Array(factors[rows])))
      }
    }
    return builder.deltas
  }

  /// The shape that `boft_R` must have: that of the tensor as far as the config agrees.
  ///
  /// peft reduces the butterfly to one level where it cannot compile its CUDA code, whatever the config says.
  private static func matrixShape(
    _ found: [Int], width: Int, _ config: AdapterConfig
  ) throws(AdapterError) -> [Int] {
    var size = try config.integer("boft_block_size", default: 4, atLeast: 0)
    let count = try config.integer("boft_block_num", default: 0, atLeast: 0)
    let levels = try config.integer("boft_n_butterfly_factor", default: 1)
    guard (size > 0) != (count > 0) else {
      throw config.malformed(
        "boft_block_size", expected: count > 0 ? "0, as boft_block_num is \(count)" : "at least 1, as boft_block_num is 0",
        found: config["boft_block_size"])
    }
    if count > 0, width % count == 0 { size = width / count }
    guard size > 0, width % size == 0 else {
      throw config.malformed(
        count > 0 ? "boft_block_num" : "boft_block_size", expected: "a divisor of the width \(width)",
        found: config[count > 0 ? "boft_block_num" : "boft_block_size"])
    }
    let level = found.first == 1 ? 1 : levels
    let expected = [level, width / size, size, size]
    guard level > 1 else { return expected }
    let (group, overflow) = size.multipliedReportingOverflow(by: level < 48 ? 1 << (level - 1) : .max)
    guard !overflow, size % 2 == 0, width % group == 0 else {
      throw config.malformed(
        "boft_n_butterfly_factor", expected: "levels that divide \(width / size) blocks of an even size",
        found: config["boft_n_butterfly_factor"])
    }
    return expected
  }

  /// Q' of every block of a level, as a tensor [blocks, b, b].
  private static func transposedBlocks(
    _ values: [Float], level: Int, _ shape: [Int], _ name: String, _ files: AdapterFolder
  ) throws(AdapterError) -> Tensor {
    let (count, b) = (shape[1], shape[2])
    var blocks: [Float] = []
    blocks.reserveCapacity(count * b * b)
    for block in level * count..<(level + 1) * count {
      var skew = [Double](repeating: 0, count: b * b)
      for i in 0..<b {
        for j in 0..<b {
          skew[i * b + j] = (Double(values[(block * b + i) * b + j]) - Double(values[(block * b + j) * b + i])) / 2
        }
      }
      do throws(LinearAlgebraError) {
        let q = try CayleyTransform.exact(skew, size: b)
        for i in 0..<b { for j in 0..<b { blocks.append(Float(q[j * b + i])) } }
      } catch {
        throw .linearAlgebra(location: "\(files.tensorsLocation): \(name)", error)
      }
    }
    return try makeTensor(blocks, [count, b, b])
  }

  /// P_i' x = x[order]: the half blocks of 2^i neighbouring blocks, which P_i sorts into even and odd ones, are put back.
  static func order(level: Int, shape: [Int]) -> [Int32] {
    let (width, half) = (shape[1] * shape[2], shape[2] / 2)
    let steps = 2 << level
    var order = [Int32](repeating: 0, count: width)
    for index in 0..<width {
      let (group, inside) = (index / (steps * half), index % (steps * half))
      let (step, offset) = (inside / half, inside % half)
      let source = step < steps / 2 ? 2 * step : 2 * (step - steps / 2) + 1
      // Element `index` of P_i x is x[group, source, offset].
      order[(group * steps + source) * half + offset] = Int32(index)
    }
    return order
  }
}
