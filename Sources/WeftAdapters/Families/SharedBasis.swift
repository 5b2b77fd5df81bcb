// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// A library of adapters over common bases (Compress-then-Serve, https://arxiv.org/abs/2407.00066): dW = U C V, where U and V are
/// those of the module and C is the adapter's.
///
/// A member of a pack with `peft_type` SHARED_BASIS. Tensors per module: `basis_U` [out, rank] and `basis_V` [rank, in], F32, F16 or
/// BF16, which all members name and which are in memory once; `core` [rank, rank].
enum SharedBasis {
  static let peftType = "SHARED_BASIS"
  static let parameters = ["basis_U", "basis_V", "core"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(AdapterConfig.commonRules)
    var builder = DeltaBuilder(base, files)
    for tensors in try files.modules(parameters, base: base.shape) {
      let size = base.size(of: tensors.module)
      let nameU = try tensors.name("basis_U")
      let rank = files.shape(of: nameU).last ?? 0
      let u = try files.takeShared(nameU, shape: [size.out, rank])
      let v = try files.takeShared(try tensors.name("basis_V"), shape: [rank, size.in])
      let core = try files.take(try tensors.name("core"), shape: [rank, rank])
      try builder.addStructured(scale: 1, to: tensors.module) { () throws(StructuredError) in
        try .basis(u: u, core: core, v: v)
      }
    }
    return builder.deltas
  }
}

extension AdapterFolder {
  /// A tensor of floats that other members of the pack name too: where one of them is in memory, it is the same memory.
  mutating func takeShared(_ name: String, shape expected: [Int]) throws(AdapterError) -> Tensor {
    guard let pack, let shared, let number = packNumber(of: name) else { return try take(name, shape: expected) }
    try requireShape(name, expected)
    var files = self
    let tensor = try shared.tensor(number, of: pack) { () throws(AdapterError) in try files.takeWeights(name) }
    discard(name)
    return tensor
  }
}
