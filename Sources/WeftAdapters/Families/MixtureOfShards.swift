// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Mixture of shards (MoS, https://arxiv.org/abs/2410.00938): LoRA whose factors are put together from shards of pools that
/// modules share: row i of A is the shards that its index names, beside each other, and so is column i of B.
///
/// Tensors (docs/adapter-layouts.md): `<module>.mos_index_A` and `<module>.mos_index_B` [rank, shards of a row], I32 or I64; for
/// modules that are called the same at their end, `mos_pool_A.<end>` [n, in / shards] and `mos_pool_B.<end>` [m, out / shards].
/// Private shards are rows of the pools that one module names. Metadata `scale`, 1 when absent.
enum MixtureOfShards {
  static let parameters = ["mos_index_A", "mos_index_B"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    var builder = DeltaBuilder(base, files)
    var pools: [String: Tensor] = [:]
    let scale = try files.metadataScale()
    for tensors in try files.modules(parameters, base: base.shape) {
      let size = base.size(of: tensors.module)
      let end = tensors.module.path.split(separator: ".").last ?? ""
      let a = try files.rows(of: "mos_pool_A.\(end)", by: tensors.name("mos_index_A"), length: size.in, &pools)
      let b = try files.rows(of: "mos_pool_B.\(end)", by: tensors.name("mos_index_B"), length: size.out, &pools)
      guard a.count == b.count else {
        throw .wrongRank(
          location: files.tensorsLocation, tensor: try tensors.name("mos_index_B"), expected: a.count, found: b.count)
      }
      var columns = [Float](repeating: 0, count: size.out * b.count)
      for (r, row) in b.enumerated() { for (o, value) in row.enumerated() { columns[o * b.count + r] = value } }
      try builder.addLowRank(
        try makeTensor(a.flatMap { $0 }, [a.count, size.in]), try makeTensor(columns, [size.out, b.count]), scale: scale,
        to: tensors.module)
    }
    return builder.deltas
  }
}

extension AdapterFolder {
  /// Vectors of `length` numbers, one for each row of the index.
  fileprivate mutating func rows(
    of pool: String, by index: String, length: Int, _ pools: inout [String: Tensor]
  ) throws(AdapterError) -> [[Float]] {
    guard has(pool) else { throw .missingTensor(location: tensorsLocation, tensor: pool) }
    let shape = self.shape(of: index)
    guard shape.count == 2, shape[0] > 0, shape[1] > 0, length % shape[1] == 0 else {
      throw .wrongShape(location: tensorsLocation, tensor: index, expected: [max(shape.first ?? 1, 1), 1], found: shape)
    }
    let count = self.shape(of: pool).first ?? 0
    let shard = length / shape[1]
    try requireShape(pool, [count, shard])
    if pools[pool] == nil { pools[pool] = try takeWeights(pool) }
    let values = pools[pool]?.floats() ?? []
    let indices = try takeIndices(index, shape: shape, below: count)
    return (0..<shape[0]).map { row in
      indices[row * shape[1]..<(row + 1) * shape[1]].flatMap { values[$0 * shard..<($0 + 1) * shard] }
    }
  }
}
