// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// BitDelta (https://arxiv.org/abs/2402.10193): W' = W + coefficient * sign, with a bit for every element.
///
/// | tensor | what |
/// |---|---|
/// | `<module>.mask` | I32 [in / 32, out]: bit j of word w of a column is row 32 w + j of the transposed matrix; set: +1, else -1 |
/// | `<module>.coeff` | one number |
/// | `<module>.A`, `.B` | [in, rank], [rank, out]: W' = W + (A B)' |
/// | any parameter | a tensor that takes the place of the base's |
enum BitDelta {
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    var builder = DeltaBuilder(base, files)
    for tensors in try files.modules(["mask", "coeff"], base: base.shape) {
      let (size, mask) = (base.size(of: tensors.module), try tensors.name("mask"))
      let (inputs, words) = (size.in, (size.in + 31) / 32)
      guard inputs % 32 == 0 else {
        throw .wrongShape(
          location: files.tensorsLocation, tensor: mask, expected: [words, size.out], found: files.shape(of: mask))
      }
      try files.requireShape(mask, [words, size.out])
      let bits = try files.takeWords(mask)
      let coefficient = try files.takeNumber(tensors.name("coeff"))
      var planes = [UInt32](repeating: 0, count: bits.count)
      for word in 0..<words { for row in 0..<size.out { planes[row * words + word] = bits[word * size.out + row] } }
      try builder.addStructured(scale: coefficient, to: tensors.module) { () throws(StructuredError) in
        try .signs(planes: planes, out: size.out, in: size.in)
      }
    }
    for tensors in try files.modules(["A", "B"], base: base.shape) {
      let size = base.size(of: tensors.module)
      let (nameA, nameB) = (try tensors.name("A"), try tensors.name("B"))
      let rank = files.shape(of: nameA).last ?? 0
      let a = try files.take(nameA, shape: [size.in, rank])
      let b = try files.take(nameB, shape: [rank, size.out])
      try builder.addLowRank(try a.transposed(), try b.transposed(), scale: 1, to: tensors.module)
    }
    try builder.replaceParameters(&files)
    return builder.deltas
  }
}
