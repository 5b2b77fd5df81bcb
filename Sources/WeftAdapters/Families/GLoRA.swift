// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// GLoRA (https://arxiv.org/abs/2306.07967): W' = W + W o A + B and, where the base has a bias b, b' = b + b o D + E + W C.
///
/// Each of A to E is a path `glora_X` of one kind: low-rank (`Xd` times `Xu`), a vector or a constant (`X`), or none (`zeros`, a
/// stored buffer of the full shape). Without a bias in the base, C, D and E are none.
enum GLoRA {
  private static let rules = AdapterConfig.rules(
    read: ["r", "config_A_B", "config_C", "config_D_E"])

  private enum Kind: String {
    case lora, vector, constant, none
  }

  /// The values of a path.
  private enum Path {
    case lowRank(left: [Float], right: [Float])
    case vector([Float])
    case constant(Float)
    case none
  }

  private static let parameters = ["A", "B", "C", "D", "E"].flatMap { path in
    ["Xd", "Xu", "X", "zeros"].map { "glora_\(path).\($0)" }
  }

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let rank = try config.integer("r", default: 8, atLeast: 1)
    let weights = try kind("config_A_B", .lora, [.lora, .vector, .constant, .none], config)
    let products = try kind("config_C", .lora, [.lora, .vector, .none], config)
    let biases = try kind("config_D_E", .constant, [.vector, .constant, .none], config)
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    let values = try builder.values()
    for tensors in modules {
      let (module, size) = (tensors.module, base.size(of: tensors.module))
      let bias = values.bias(of: module)
      var paths: [Path] = []
      for (name, kind, rows, columns) in [
        ("A", weights, size.out, size.in), ("B", weights, size.out, size.in), ("C", bias == nil ? .none : products, size.in, 1),
        ("D", bias == nil ? .none : biases, size.out, nil), ("E", bias == nil ? .none : biases, size.out, nil),
      ] {
        paths.append(try path(name, kind, rows: rows, columns: columns, rank, tensors, &files))
      }
      try addWeights(a: paths[0], b: paths[1], rank, to: module, &builder)
      if let bias {
        try addBias(bias, c: paths[2], d: paths[3], e: paths[4], rank, weight: values.weight(of: module), to: module, &builder)
      }
    }
    return builder.deltas
  }

  private static func kind(
    _ option: String, _ standard: Kind, _ allowed: [Kind], _ config: AdapterConfig
  ) throws(AdapterError) -> Kind {
    guard let text = try config.string(option) else { return standard }
    guard let kind = Kind(rawValue: text), allowed.contains(kind) else {
      throw config.malformed(
        option, expected: "one of \(allowed.map(\.rawValue).joined(separator: ", "))", found: config[option])
    }
    return kind
  }

  /// - Parameter columns: nil where the whole path is a vector without a second axis.
  private static func path(
    _ name: String, _ kind: Kind, rows: Int, columns: Int?, _ rank: Int, _ tensors: ModuleTensors,
    _ files: inout AdapterFolder
  ) throws(AdapterError) -> Path {
    func tensor(_ part: String) throws(AdapterError) -> String { try tensors.name("glora_\(name).\(part)") }
    switch kind {
    case .lora:
      return .lowRank(
        left: try files.takeFloats(tensor("Xd"), shape: [rows, rank]),
        right: try files.takeFloats(tensor("Xu"), shape: [rank, columns ?? 1]))
    case .vector:
      return .vector(try files.takeFloats(tensor("X"), shape: columns == nil ? [rows] : [rows, 1]))
    case .constant: return .constant(try files.takeFloats(tensor("X"), shape: [1])[0])
    case .none:
      let name = try tensor("zeros")
      let zeros = try files.takeFloats(name, shape: columns.map { [rows, $0] } ?? [rows])
      guard let index = zeros.firstIndex(where: { $0 != 0 }) else { return .none }
      throw .delta(
        location: files.tensorsLocation, site: tensors.module.sites[0],
        .malformed(factor: name, expected: "zeros", found: "\(zeros[index]) at element \(index)"))
    }
  }

  private static func addWeights(
    a: Path, b: Path, _ rank: Int, to module: BaseModule, _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let size = builder.base.size(of: module)
    switch a {
    case .lowRank(let left, let right): try builder.addProduct(of: left, right, rank: rank, timesBaseOf: module)
    case .vector(let vector): try addScale(vector, to: module, &builder)
    case .constant(let value): try addScale([Float](repeating: value, count: size.out), to: module, &builder)
    case .none: break
    }
    switch b {
    case .lowRank(let left, let right):
      try builder.addLowRank(makeTensor(right, [rank, size.in]), makeTensor(left, [size.out, rank]), scale: 1, to: module)
    case .vector(let vector): try addColumns(vector, to: module, &builder)
    case .constant(let value): try addColumns([Float](repeating: value, count: size.out), to: module, &builder)
    case .none: break
    }
  }

  /// W + W o A for an A that is the same in every column of a row.
  private static func addScale(
    _ vector: [Float], to module: BaseModule, _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    try builder.add(to: module) { rows throws(DeltaError) in
      .scale(try ScaleDelta(.product, vector[rows].map { 1 + $0 }, combination: .sum))
    }
  }

  /// A B that is the same in every column of a row: of rank 1.
  private static func addColumns(
    _ vector: [Float], to module: BaseModule, _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let width = builder.base.size(of: module).in
    let ones = try makeTensor([Float](repeating: 1, count: width), [1, width])
    try builder.addLowRank(ones, makeTensor(vector, [vector.count, 1]), scale: 1, to: module)
  }

  /// b o D + E + W C, in Float64.
  private static func addBias(
    _ bias: [Float], c: Path, d: Path, e: Path, _ rank: Int, weight: [Float], to module: BaseModule,
    _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let size = builder.base.size(of: module)
    func element(_ path: Path, _ row: Int) -> Double {
      switch path {
      case .lowRank(let left, let right):
        (0..<rank).reduce(0) { $0 + Double(left[row * rank + $1]) * Double(right[$1]) }
      case .vector(let vector): Double(vector[row])
      case .constant(let value): Double(value)
      case .none: 0
      }
    }
    let column = (0..<size.in).map { element(c, $0) }
    let change = (0..<size.out).map { row in
      var sum = Double(bias[row]) * element(d, row) + element(e, row)
      for i in 0..<size.in { sum += Double(weight[row * size.in + i]) * column[i] }
      return Float(sum)
    }
    try builder.add(to: module) { rows throws(DeltaError) in .bias(try BiasDelta(Array(change[rows]))) }
  }
}
