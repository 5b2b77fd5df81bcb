// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// HRA (https://arxiv.org/abs/2405.17484): W <- W H_1 ... H_r with reflections H_i = I - 2 u_i u_i' at the columns of `hra_u`
/// [in, r], made unit vectors; with `apply_GS`, orthonormal ones, where the product is I - 2 U U'.
enum HRA {
  private static let vectors = "hra_u"

  private static let rules = AdapterConfig.rules(read: ["r", "apply_GS"])

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let rank = try config.rank("r", default: 8, base: model)
    let isOrthonormal = try config.bool("apply_GS")
    let modules = try files.targetedModules([vectors], base: model.shape)
    var builder = try DeltaBuilder(model, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let name = try tensors.name(vectors)
      let width = model.size(of: tensors.module).in
      let values = try files.takeFloats(name, shape: [width, rank])
      guard let units = units(values, count: rank, width: width, isOrthonormal) else {
        throw .part(
          location: files.tensorsLocation, part: name,
          .malformed(
            factor: vectors, expected: isOrthonormal ? "independent columns" : "columns that are not zero", found: "others"))
      }
      let tensor = try makeTensor(units, [rank, width])
      try builder.add(to: tensors.module) { _ throws(DeltaError) in .rotate(try RotationDelta(.reflections(tensor))) }
    }
    return builder.deltas
  }

  /// The columns of [width, count] as rows of unit length, one after the other orthogonal to those before where asked for; nil
  /// when one vanishes.
  private static func units(_ values: [Float], count: Int, width: Int, _ isOrthonormal: Bool) -> [Float]? {
    var rows: [[Double]] = []
    for column in 0..<count {
      var vector = (0..<width).map { Double(values[$0 * count + column]) }
      let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
      if isOrthonormal {
        for row in rows {
          let dot = zip(row, vector).reduce(0) { $0 + $1.0 * $1.1 }
          for i in 0..<width { vector[i] -= dot * row[i] }
        }
      }
      let rest = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
      // What is left of a dependent column is rounding.
      guard length > 0, rest > length * 1e-12 else { return nil }
      rows.append(vector.map { $0 / rest })
    }
    return rows.joined().map { Float($0) }
  }
}
