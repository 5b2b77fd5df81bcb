// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// What PEFT takes out of the base's weight when it loads an adapter whose training began from it. The adapter's own change is
/// then relative to that: B A alone would be another model.
///
/// It becomes part of the adapter, so that adapters with different beginnings can act beside each other on one base.
enum LoRAResidual: Equatable {
  case none
  /// The `rank` largest singular components (PiSSA, https://arxiv.org/abs/2404.02948).
  case largest
  /// The `rank` smallest ones (KaSA, https://arxiv.org/abs/2412.06071).
  case smallest
  /// scale * the first `rank` columns of Q times the first rows of R (OLoRA, https://arxiv.org/abs/2406.01775).
  case orthogonal

  /// Initialisations that leave the base as it is, so that A and B are the whole change.
  private static let plain = ["gaussian", "orthogonal", "eva", "mica"]

  init(_ config: AdapterConfig) throws(AdapterError) {
    let hasDiagonal = try !config.members("kasa_config").isEmpty
    var residual = LoRAResidual.none
    if let value = config["init_lora_weights"], value.bool == nil {
      guard let name = value.string else {
        throw config.malformed("init_lora_weights", expected: "true, false or a name", found: value)
      }
      switch name.lowercased() {
      case let name where LoRAResidual.plain.contains(name): residual = .none
      case "pissa": residual = .largest
      case "olora": residual = .orthogonal
      default: throw LoRAResidual.refusal(of: name, config)
      }
    }
    if hasDiagonal, residual != .none {
      throw .unsupportedOption(
        location: config.location, option: "init_lora_weights", expected: "true beside kasa_config",
        found: config["init_lora_weights"]?.kind ?? "")
    }
    self = hasDiagonal ? .smallest : residual
  }

  private static func refusal(of name: String, _ config: AdapterConfig) -> AdapterError {
    let reasons = [
      ("pissa_niter_", "pissa_niter begins with a random singular value decomposition, which even peft does not repeat"),
      ("corda", "CorDA begins with the covariance of its calibration data, which the files do not hold"),
      ("lora_ga", "LoRA-GA begins with gradients of its training data, which the files do not hold"),
      ("loftq", "LoftQ begins with the error of its own 4-bit quantiser, which the files do not hold"),
    ]
    guard let reason = reasons.first(where: { name.lowercased().hasPrefix($0.0) })?.1 else {
      return .unsupportedOption(
        location: config.location, option: "init_lora_weights",
        expected: "true, false, gaussian, orthogonal, eva, mica, pissa or olora", found: "\"\(name)\"")
    }
    return .notReproducible(
      location: config.location, reason: "init_lora_weights: \(reason)",
      remedy: "save it again in peft with path_initial_model_for_weight_conversion, which makes it a plain LoRA")
  }

  /// The factors u [out, count] and v [count, in] of what is taken out of `weight` [out, in].
  ///
  /// - Parameters:
  ///   - scale: that of the adapter.
  ///   - isTransposed: whether PEFT sees the weight as [in, out]. Singular values do not care; QR does.
  func factors(
    of weight: [Float], size: BaseShape.Size, rank: Int, scale: Float, isTransposed: Bool
  ) throws(LinearAlgebraError) -> (u: [Float], v: [Float], count: Int) {
    let least = min(size.out, size.in)
    let count = min(rank, least)
    switch self {
    case .none: return ([], [], 0)
    case .largest, .smallest:
      let parts = try LinearAlgebra.singularValues(of: weight, rows: size.out, columns: size.in)
      let first = self == .largest ? 0 : least - count
      var u: [Float] = []
      u.reserveCapacity(size.out * count)
      for row in 0..<size.out {
        for k in first..<first + count { u.append(parts.u[row * least + k] * parts.values[k]) }
      }
      return (u, Array(parts.vT[first * size.in..<(first + count) * size.in]), count)
    case .orthogonal:
      let stored = isTransposed ? LinearAlgebra.transposed(weight, rows: size.out, columns: size.in) : weight
      let (rows, columns) = isTransposed ? (size.in, size.out) : (size.out, size.in)
      let (q, r) = try LinearAlgebra.qr(stored, rows: rows, columns: columns)
      let left = (0..<rows).flatMap { row in q[row * least..<row * least + count].map { scale * $0 } }
      let right = Array(r[..<(count * columns)])
      guard isTransposed else { return (left, right, count) }
      return (
        LinearAlgebra.transposed(right, rows: count, columns: columns),
        LinearAlgebra.transposed(left, rows: rows, columns: count),
        count
      )
    }
  }
}
