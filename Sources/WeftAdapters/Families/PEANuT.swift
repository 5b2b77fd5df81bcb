// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
internal import WeftTensors

/// PEANuT (https://arxiv.org/abs/2410.01870): D = scaling (h B')' where a small network makes h [in, r] of the base's weight.
/// Once it is read that is scaling B h', of rank r.
///
/// Tensors per module: `peanut_A.weight` [r, out], `peanut_B.weight` [out, r], and with `depth` also
/// `peanut_encoders.i.weight`, `peanut_decoders.i.weight` [r, r]. h = f(W' A'); each encoder E: h = f(h E'); each decoder:
/// h = f(h D') + what the encoder of the same level began with.
enum PEANuT {
  private static let rules = AdapterConfig.rules(
    read: ["r", "depth", "act_fn", "scaling"])

  /// Activations by transformers' names.
  private static let activations: [String: @Sendable (Double) -> Double] = [
    "relu": { max($0, 0) }, "relu2": { max($0, 0) * max($0, 0) }, "relu6": { min(max($0, 0), 6) },
    "leaky_relu": { $0 < 0 ? 0.01 * $0 : $0 }, "linear": { $0 }, "sigmoid": sigmoid, "tanh": { tanh($0) },
    "silu": { $0 * sigmoid($0) }, "swish": { $0 * sigmoid($0) }, "mish": { $0 * tanh(log1p(exp($0))) },
    "gelu": gelu, "gelu_python": gelu, "gelu_new": geluByTanh, "gelu_fast": geluByTanh, "gelu_pytorch_tanh": geluByTanh,
    "quick_gelu": { $0 * sigmoid(1.702 * $0) },
  ]

  @Sendable private static func sigmoid(_ x: Double) -> Double { 1 / (1 + exp(-x)) }
  @Sendable private static func gelu(_ x: Double) -> Double { 0.5 * x * (1 + erf(x * 0.5.squareRoot())) }
  @Sendable private static func geluByTanh(_ x: Double) -> Double {
    0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
  }

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let rank = try config.integer("r", default: 32, atLeast: 1)
    let depth = try config.integer("depth", default: 0, atLeast: 0)
    let scale = Float(try config.number("scaling", default: 1))
    let name = try config.string("act_fn") ?? "relu"
    guard let activation = activations[name] else {
      throw .unsupportedOption(
        location: config.location, option: "act_fn", expected: "one of \(activations.keys.sorted().joined(separator: ", "))",
        found: "\"\(name)\"")
    }
    guard depth <= 1000 else { throw config.malformed("depth", expected: "at most 1000", found: config["depth"]) }
    let levels = (0..<depth).map { ("peanut_encoders.\($0).weight", "peanut_decoders.\($0).weight") }
    let parameters = ["peanut_A.weight", "peanut_B.weight"] + levels.flatMap { [$0.0, $0.1] }
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let (module, size) = (tensors.module, base.size(of: tensors.module))
      let a = try files.takeFloats(tensors.name("peanut_A.weight"), shape: [rank, size.out])
      let b = try files.take(tensors.name("peanut_B.weight"), shape: [size.out, rank])
      var encoders: [[Float]] = []
      var decoders: [[Float]] = []
      for (encoder, decoder) in levels {
        encoders.append(try files.takeFloats(tensors.name(encoder), shape: [rank, rank]))
        decoders.append(try files.takeFloats(tensors.name(decoder), shape: [rank, rank]))
      }
      let weight = try builder.values().weight(of: module)
      // h is kept as its transpose [r, in], so that every step is a matrix times h.
      func step(_ matrix: [Float], _ h: [Double], inner: Int) throws(AdapterError) -> [Double] {
        try builder.solving { () throws(LinearAlgebraError) in
          try LinearAlgebra.product(matrix.map { Double($0) }, h, rows: rank, inner: inner, columns: size.in).map(activation)
        }
      }
      var h = try step(a, weight.map { Double($0) }, inner: size.out)
      var residuals: [[Double]] = []
      for encoder in encoders {
        residuals.append(h)
        h = try step(encoder, h, inner: rank)
      }
      for decoder in decoders {
        h = zip(try step(decoder, h, inner: rank), residuals.removeLast()).map { $0 + $1 }
      }
      guard h.allSatisfy({ Float($0).isFinite }) else {
        throw builder.malformed("h", expected: "finite numbers", found: "infinity or NaN", module)
      }
      try builder.addLowRank(makeTensor(h.map { Float($0) }, [rank, size.in]), b, scale: scale, to: module)
    }
    return builder.deltas
  }
}
