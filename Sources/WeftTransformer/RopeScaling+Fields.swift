// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftFormats
internal import WeftTensors

extension RopeScaling {
  /// Reads the scaling of a table with `dimension` rotated numbers.
  /// - Parameter layerType: the member of `rope_parameters` for one kind of layers, where a model has several.
  init(_ fields: ConfigFields, dimension: Int, context: Int, layerType: String? = nil) throws(ModelError) {
    if let file = fields.gguf {
      try self.init(gguf: file, fields, dimension: dimension, context: context)
      return
    }
    let nested = layerType.flatMap { fields.json?["rope_parameters"]?[$0] }
    // transformers 5 keeps everything rotary in one object; older files have rope_theta and rope_scaling.
    guard let json = nested ?? fields.json?["rope_parameters"] ?? fields.json?["rope_scaling"] else {
      self = .none
      return
    }
    let rope = ConfigFields(huggingFace: json, location: fields.location + ": rope_scaling")
    let type = json["rope_type"]?.string ?? json["type"]?.string ?? "default"
    func original() throws(ModelError) -> Double {
      if rope.has(.originalContext) { return try rope.positive(.originalContext) }
      return fields.has(.originalContext) ? try fields.positive(.originalContext) : Double(context)
    }
    switch type {
    case "default": self = .none
    case "linear": self = .linear(factor: try rope.positive(.ropeFactor))
    case "llama3":
      self = .llama3(
        factor: try rope.positive(.ropeFactor), lowFrequencyFactor: try rope.positive(ConfigKey("low_freq_factor", "")),
        highFrequencyFactor: try rope.positive(ConfigKey("high_freq_factor", "")),
        originalContext: try rope.positive(.originalContext))
    case "yarn":
      for field in ["mscale", "mscale_all_dim"] where json[field] != nil {
        throw .unsupported(location: rope.location, field: field, expected: "no such field", found: json[field]?.kind ?? "")
      }
      guard try rope.bool("truncate", default: true) else {
        throw .unsupported(location: rope.location, field: "truncate", expected: "true", found: "false")
      }
      let factor = try rope.positive(.ropeFactor)
      self = .yarn(
        factor: factor, originalContext: try original(), fastTurns: try rope.number(ConfigKey("beta_fast", ""), default: 32),
        slowTurns: try rope.number(ConfigKey("beta_slow", ""), default: 1),
        magnitude: try rope.number(.attentionFactor, default: RopeScaling.yarnMagnitude(factor)))
    case "longrope", "su":
      let original = try original()
      let factor = Double(context) / original
      let magnitude = factor <= 1 ? 1 : (1 + log(factor) / log(original)).squareRoot()
      self = .longRoPE(
        short: try listed(rope, "short_factor", dimension / 2), long: try listed(rope, "long_factor", dimension / 2),
        originalContext: Int(original), magnitude: try rope.number(.attentionFactor, default: magnitude))
    default:
      throw .unsupported(
        location: fields.location, field: "rope_type", expected: "default, linear, llama3, yarn or longrope", found: type)
    }
  }

  private init(gguf file: GGUFFile, _ fields: ConfigFields, dimension: Int, context: Int) throws(ModelError) {
    if let long = file.tensors["rope_factors_long.weight"], let short = file.tensors["rope_factors_short.weight"] {
      let original = fields.has(.originalContext) ? try fields.integer(.originalContext) : context
      let factor = Double(context) / Double(max(original, 1))
      let magnitude = factor <= 1 ? 1 : (1 + log(factor) / log(Double(original))).squareRoot()
      self = .longRoPE(
        short: try stored(short, "rope_factors_short.weight", dimension / 2, file.path),
        long: try stored(long, "rope_factors_long.weight", dimension / 2, file.path), originalContext: original,
        magnitude: try fields.number(.attentionFactor, default: magnitude))
      return
    }
    if let tensor = file.tensors["rope_freqs.weight"] {
      self = .divisors(try stored(tensor, "rope_freqs.weight", dimension / 2, file.path))
      return
    }
    let type = file.metadata[fields.name(.ropeScaling)]?.string ?? "none"
    switch type {
    // Without its tensors, longrope is what llama.cpp's converter writes for a context that needs no scaling.
    case "none", "longrope": self = .none
    case "linear": self = .linear(factor: try fields.positive(.ropeFactor))
    case "yarn":
      let factor = try fields.positive(.ropeFactor)
      self = .yarn(
        factor: factor, originalContext: try fields.number(.originalContext, default: Double(context)),
        fastTurns: try fields.number(ConfigKey("", "rope.scaling.yarn_beta_fast"), default: 32),
        slowTurns: try fields.number(ConfigKey("", "rope.scaling.yarn_beta_slow"), default: 1),
        magnitude: RopeScaling.yarnMagnitude(factor) * (try fields.number(.attentionFactor, default: 1)))
    default: throw fields.unsupported(.ropeScaling, expected: "none, linear or yarn", found: type)
    }
  }

  private static func yarnMagnitude(_ factor: Double) -> Double { factor <= 1 ? 1 : 0.1 * log(factor) + 1 }
}

extension ConfigKey {
  static let attentionFactor = ConfigKey("attention_factor", "rope.scaling.attn_factor")
}

/// The divisors in a list of `config.json`.
private func listed(_ fields: ConfigFields, _ name: String, _ count: Int) throws(ModelError) -> [Float] {
  let values = fields.json?[name]?.array?.compactMap { $0.double.map { Float($0) } } ?? []
  guard values.count == count, values.allSatisfy({ $0 > 0 && $0.isFinite }) else {
    throw .invalidConfig(
      location: fields.location, field: name, expected: "\(count) positive numbers", found: "\(values.count) numbers")
  }
  return values
}

/// The divisors in a tensor of GGUF.
private func stored(_ tensor: Tensor, _ name: String, _ count: Int, _ location: String) throws(ModelError) -> [Float] {
  guard tensor.shape == [count], tensor.dtype == .f32 else {
    throw .shapeMismatch(location: location, tensor: name, expected: [count], found: tensor.shape)
  }
  let values = tensor.floats()
  if let bad = values.firstIndex(where: { !($0 > 0 && $0.isFinite) }) {
    throw .notFinite(location: location, tensor: name, index: bad)
  }
  return values
}
