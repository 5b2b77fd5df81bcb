// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// FRoD, of peft 0.21: W' = U (S + diag l) V' with the V [in, in] and the places of the sparse S of a category of modules, and
/// U = W V'^-1 with columns of length 1. D = W' - W, a dense matrix once it is read.
///
/// Tensors: `base_model.frod_V.CATEGORY` [in, in], `base_model.frod_s_indices.CATEGORY` [2, n], `base_model.frod_s_size.CATEGORY`
/// [2]; per module `frod_lambda_l` [in], `frod_lambda_s_values` [n]. The category is the end of the path: `self_attn_q_proj`.
enum FRoD {
  // Inert: how V was found, which is in the file, and training.
  private static let rules = AdapterConfig.rules(
    read: ["save_projection"],
    inert: [
      "projection_prng_key", "sparse_rate", "regularization_alpha", "progressbar", "runtime_offload_base_weight",
      "frod_dropout",
    ])

  /// What the modules of one category share.
  private struct Shared {
    /// [in, in]
    let v: [Double]
    let rows: ArraySlice<Int>
    let columns: ArraySlice<Int>
  }

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    guard try config.bool("save_projection", default: true) else {
      throw .notReproducible(
        location: files.tensorsLocation,
        reason: "the shared matrices V are not in the file, and depend on how the trainer's eigenvectors came out",
        remedy: "write the adapter again with save_projection true")
    }
    var shared: [String: Shared] = [:]
    let modules = try files.targetedModules(["frod_lambda_l", "frod_lambda_s_values"], base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let (module, size) = (tensors.module, base.size(of: tensors.module))
      let category = module.path.split(separator: ".").suffix(2).joined(separator: "_")
      if shared[category] == nil { shared[category] = try take(category, size.in, module, builder, &files) }
      guard let known = shared[category] else { preconditionFailure("it was just taken") }
      let diagonal = try files.takeFloats(tensors.name("frod_lambda_l"), shape: [size.in])
      let values = try files.takeFloats(tensors.name("frod_lambda_s_values"), shape: [known.rows.count])
      guard known.v.count == size.in * size.in else {
        throw builder.malformed("V", expected: "modules of one category with one input size", found: "\(size.in)", module)
      }
      let weight = try builder.values().weight(of: module)
      let delta = try builder.solving { () throws(LinearAlgebraError) in
        try change(weight, size, known, diagonal, values)
      }
      try builder.addDense(delta, to: module)
    }
    return builder.deltas
  }

  private static func take(
    _ category: String, _ width: Int, _ module: BaseModule, _ builder: DeltaBuilder, _ files: inout AdapterFolder
  ) throws(AdapterError) -> Shared {
    let v = try files.takeFloats(files.requireModelTensor("frod_V.\(category)"), shape: [width, width])
    let indexName = try files.requireModelTensor("frod_s_indices.\(category)")
    let found = files.shape(of: indexName)
    let count = found.count == 2 ? found[1] : 0
    let indices = try files.takeIndices(indexName, shape: [2, count], below: width)
    let size = try files.takeIndices(files.requireModelTensor("frod_s_size.\(category)"), shape: [2], below: .max)
    guard size == [width, width] else {
      throw builder.malformed("frod_s_size", expected: "[\(width), \(width)]", found: "\(size)", module)
    }
    return Shared(v: v.map { Double($0) }, rows: indices[..<count], columns: indices[count...])
  }

  /// U (S + diag l) V' - W, in Float64 but for U, which is rounded as in PEFT.
  private static func change(
    _ weight: [Float], _ size: BaseShape.Size, _ shared: Shared, _ diagonal: [Float], _ values: [Float]
  ) throws(LinearAlgebraError) -> [Float] {
    let (out, width) = (size.out, size.in)
    // V X = W', so that X' = W V'^-1 = U before its columns, the rows of X, are shortened to length 1.
    let right = LinearAlgebra.transposed(weight.map { Double($0) }, rows: out, columns: width)
    var u = try LinearAlgebra.solve(shared.v, size: width, right, columns: out)
    for row in 0..<width {
      let range = row * out..<(row + 1) * out
      let length = u[range].reduce(0) { $0 + $1 * $1 }.squareRoot()
      for i in range { u[i] = length > 1e-12 ? Double(Float(u[i] / length)) : 0 }
    }
    // (S + diag l) V' row by row.
    var product = [Double](repeating: 0, count: width * width)
    func addRow(_ row: Int, _ factor: Double, column: Int) {
      for i in 0..<width { product[row * width + i] += factor * shared.v[i * width + column] }
    }
    for row in 0..<width { addRow(row, Double(diagonal[row]), column: row) }
    for ((row, column), value) in zip(zip(shared.rows, shared.columns), values) {
      addRow(row, Double(value), column: column)
    }
    let adapted = try LinearAlgebra.product(u, transposed: true, product, rows: out, inner: width, columns: width)
    return zip(adapted, weight).map { Float($0 - Double($1)) }
  }
}
