// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// NOLA (https://arxiv.org/abs/2310.02556): LoRA whose factors are weighted sums of random matrices,
/// A = sum of alpha_i A_i, B = sum of beta_j B_j, W' = W + scale * B A.
///
/// Tensors (docs/adapter-layouts.md): `<module>.nola_alpha` [k], `<module>.nola_beta` [l]; for modules that are called the same
/// at their end, `nola_basis_A.<end>` [k, rank, in] and `nola_basis_B.<end>` [l, out, rank]. Metadata `scale`, 1 when absent.
enum NOLA {
  static let parameters = ["nola_alpha", "nola_beta"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    var builder = DeltaBuilder(base, files)
    var bases: [String: Tensor] = [:]
    let scale = try files.metadataScale()
    for tensors in try files.modules(parameters, base: base.shape) {
      let size = base.size(of: tensors.module)
      let end = tensors.module.path.split(separator: ".").last ?? ""
      let (nameA, nameB) = ("nola_basis_A.\(end)", "nola_basis_B.\(end)")
      let rank = files.shape(of: nameA).dropFirst().first ?? 0
      let alpha = try files.sum(of: nameA, by: tensors.name("nola_alpha"), [rank, size.in], &bases)
      let beta = try files.sum(of: nameB, by: tensors.name("nola_beta"), [size.out, rank], &bases)
      try builder.addLowRank(alpha, beta, scale: scale, to: tensors.module)
    }
    return builder.deltas
  }
}

extension AdapterFolder {
  /// The metadata `scale` of a safetensors file; 1 when absent.
  func metadataScale() throws(AdapterError) -> Float {
    guard let text = metadata["scale"] else { return 1 }
    guard let scale = Float(text), scale.isFinite else {
      throw .malformedOption(location: path, option: "metadata scale", expected: "a finite number", found: text)
    }
    return scale
  }

  /// The sum of the matrices of `basis` [n, rows, columns], each times its element of `coefficients` [n].
  fileprivate mutating func sum(
    of basis: String, by coefficients: String, _ shape: [Int], _ bases: inout [String: Tensor]
  ) throws(AdapterError) -> Tensor {
    guard has(basis) else { throw .missingTensor(location: tensorsLocation, tensor: basis) }
    let count = self.shape(of: basis).first ?? 0
    guard shape.allSatisfy({ $0 > 0 }), count > 0 else {
      throw .wrongShape(
        location: tensorsLocation, tensor: basis, expected: [max(count, 1)] + shape.map { max($0, 1) },
        found: self.shape(of: basis))
    }
    let tensor: Tensor
    if let taken = bases[basis] {
      try requireShape(basis, [count] + shape)
      tensor = taken
    } else {
      tensor = try take(basis, shape: [count] + shape)
      bases[basis] = tensor
    }
    let factors = try takeFloats(coefficients, shape: [count])
    var sum = [Double](repeating: 0, count: shape[0] * shape[1])
    let values = tensor.floats()
    for (index, factor) in factors.enumerated() {
      for element in sum.indices { sum[element] += Double(factor) * Double(values[index * sum.count + element]) }
    }
    return try makeTensor(sum.map { Float($0) }, shape)
  }
}
