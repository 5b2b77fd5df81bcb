// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// LoKr (https://arxiv.org/abs/2309.14859): D = alpha / r (w1 (x) w2), a Kronecker product.
///
/// Tensors per module: `lokr_w1` [l, m], or its factors `lokr_w1_a` [l, r] and `lokr_w1_b` [r, m]; `lokr_w2` [k, n] likewise, with
/// l k = out and m n = in. How the sizes are split is told by the shapes. The scale is alpha / r even where both are whole.
enum LoKr {
  // Inert: training, convolutions, and how sizes are split, which the shapes tell.
  private static let rules = AdapterConfig.rules(
    read: ["r", "alpha", "rank_pattern", "alpha_pattern"],
    inert: [
      "rank_dropout", "module_dropout", "use_effective_conv2d", "rank_dropout_scale", "decompose_both", "decompose_factor",
    ])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let scales = try ScaleOption(files.config, base)
    let parameters = ["lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b"]
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let (module, size) = (tensors.module, base.size(of: tensors.module))
      let rank = try scales.ranks.rank(of: module)
      let first = try factor("lokr_w1", tensors, rank, &files)
      let second = try factor("lokr_w2", tensors, rank, &files)
      guard fits(first.rows, second.rows, size.out), fits(first.columns, second.columns, size.in) else {
        throw builder.malformed(
          "w1 (x) w2", expected: "[\(size.out), \(size.in)]",
          found: "[\(first.rows), \(first.columns)] (x) [\(second.rows), \(second.columns)]", module)
      }
      try builder.addStructured(scale: try scales.scale(of: module), to: module) { () throws(StructuredError) in
        try .kronecker(first.factor, second.factor)
      }
    }
    return builder.deltas
  }

  private static func fits(_ first: Int, _ second: Int, _ size: Int) -> Bool {
    first > 0 && second > 0 && size % first == 0 && size / first == second
  }

  /// One side: whole, or as two factors of the config's rank.
  private static func factor(
    _ parameter: String, _ tensors: ModuleTensors, _ rank: Int, _ files: inout AdapterFolder
  ) throws(AdapterError) -> (factor: StructuredMatrix.KroneckerFactor, rows: Int, columns: Int) {
    if let name = tensors.names[parameter] {
      for factor in ["\(parameter)_a", "\(parameter)_b"] {
        if let other = tensors.names[factor] {
          throw .duplicateTensor(location: files.tensorsLocation, tensor: name, other: other)
        }
      }
      let matrix = try files.matrix(name)
      return (.full(matrix), matrix.shape[0], matrix.shape[1])
    }
    if tensors.names["\(parameter)_a"] == nil, tensors.names["\(parameter)_b"] == nil { _ = try tensors.name(parameter) }
    let (leftName, rightName) = (try tensors.name("\(parameter)_a"), try tensors.name("\(parameter)_b"))
    let (left, right) = (try files.matrix(leftName), try files.matrix(rightName))
    for (name, found) in [(leftName, left.shape[1]), (rightName, right.shape[0])] where found != rank {
      throw .wrongRank(location: files.tensorsLocation, tensor: name, expected: rank, found: found)
    }
    return (.product(left, right), left.shape[0], right.shape[1])
  }
}

extension AdapterFolder {
  /// A matrix of floats of any size.
  fileprivate mutating func matrix(_ name: String) throws(AdapterError) -> Tensor {
    let tensor = try takeWeights(name)
    guard tensor.shape.count == 2 else {
      throw .wrongShape(location: tensorsLocation, tensor: name, expected: [tensor.rows, tensor.columns], found: tensor.shape)
    }
    return tensor
  }
}
