// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// A library of tasks under one shared change (TALL masks, https://arxiv.org/abs/2405.07813), in the space of the factors:
/// dW = scale (m_B o B)(m_A o A), where A and B are shared and the masks and the scale are the task's.
///
/// A member of a pack with `peft_type` MASKED. Tensors per module: `shared_A` [rank, in] and `shared_B` [out, rank], F32, F16 or
/// BF16, which all members name and which are in memory once; `mask_A` [rank, ceil(in / 32)] and `mask_B` [out, ceil(rank / 32)], I32
/// words whose bit j of word w is column 32 w + j; `mask_scale` [1].
enum Masked {
  static let peftType = "MASKED"
  static let parameters = ["shared_A", "shared_B", "mask_A", "mask_B", "mask_scale"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(AdapterConfig.commonRules)
    var builder = DeltaBuilder(base, files)
    for tensors in try files.modules(parameters, base: base.shape) {
      let size = base.size(of: tensors.module)
      let nameA = try tensors.name("shared_A")
      let rank = files.shape(of: nameA).first ?? 0
      let a = try files.takeShared(nameA, shape: [rank, size.in])
      let b = try files.takeShared(try tensors.name("shared_B"), shape: [size.out, rank])
      let (maskA, maskB) = (try tensors.name("mask_A"), try tensors.name("mask_B"))
      try files.requireShape(maskA, [rank, (size.in + 31) / 32])
      try files.requireShape(maskB, [size.out, (rank + 31) / 32])
      let (bitsA, bitsB) = (try files.takeWords(maskA), try files.takeWords(maskB))
      let scale = try files.takeFloats(try tensors.name("mask_scale"), shape: [1])[0]
      try builder.addStructured(scale: scale, to: tensors.module) { () throws(StructuredError) in
        try .masked(a: a, b: b, maskA: bitsA, maskB: bitsB)
      }
    }
    return builder.deltas
  }
}
