// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Scale and shift of features (SSF, https://arxiv.org/abs/2210.08823): y' = scale * y + shift for what a module writes, its
/// bias included.
///
/// Tensors (docs/adapter-layouts.md): `<module>.ssf_scale` and `<module>.ssf_shift`, [out] each, of linear modules and of norms;
/// one of the two may be absent (scale 1, shift 0).
enum ScaleAndShift {
  static let parameters = ["ssf_scale", "ssf_shift"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    var builder = DeltaBuilder(base, files)
    var ofNorms: Set<String> = []
    for name in files.tensorNames {
      guard let path = AdapterFolder.split(name, parameters)?.path, base.shape.norm(at: path) != nil else { continue }
      ofNorms.insert(name)
    }
    for norm in base.shape.norms { try add(norm, ofNorms, &files, &builder) }
    for tensors in try files.modules(parameters, base: base.shape, except: ofNorms) {
      let count = base.size(of: tensors.module).out
      let scale = try tensors.names["ssf_scale"].map { name throws(AdapterError) in try files.takeFloats(name, shape: [count]) }
      let shift = try tensors.names["ssf_shift"].map { name throws(AdapterError) in try files.takeFloats(name, shape: [count]) }
      try builder.add(to: tensors.module) { rows throws(DeltaError) in
        try .scale(
          ScaleDelta(
            .output, scale.map { Array($0[rows]) } ?? [Float](repeating: 1, count: rows.count),
            shift: shift.map { Array($0[rows]) }))
      }
    }
    return builder.deltas
  }

  /// What a norm writes is scaled by scaling its weight and bias.
  private static func add(
    _ norm: BaseNorm, _ names: Set<String>, _ files: inout AdapterFolder, _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    func values(_ parameter: String) throws(AdapterError) -> [Float]? {
      let own = names.first { name in
        guard let found = AdapterFolder.split(name, [parameter])?.path else { return false }
        return builder.base.shape.norm(at: found) == norm
      }
      guard let own else { return nil }
      return try files.takeFloats(own, shape: [norm.size])
    }
    let (scale, shift) = (try values(parameters[0]), try values(parameters[1]))
    guard scale != nil || shift != nil else { return }
    guard norm.hasBias || shift == nil else {
      throw .unknownTensor(
        location: files.tensorsLocation, tensor: "\(norm.path).\(parameters[1])",
        expected: "no shift of a norm without a bias (RMSNorm)")
    }
    guard let own = try builder.values().norm(norm.site), let weight = own.weight else {
      throw .needsBaseWeights(location: files.path)
    }
    let factors = scale ?? [Float](repeating: 1, count: norm.size)
    do throws(DeltaError) {
      var bias = own.bias.map { zip($0, factors).map { $0 * $1 } }
      if let shift { bias = zip(bias ?? shift.map { _ in 0 }, shift).map { $0 + $1 } }
      builder.deltas.norms[norm.site] = try NormReplacement(weight: zip(weight, factors).map { $0 * $1 }, bias: bias)
    } catch { throw .part(location: files.tensorsLocation, part: norm.path, error) }
  }
}
