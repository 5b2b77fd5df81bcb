// SPDX-License-Identifier: Apache-2.0

package import WeftFormats

extension ModelConfig {
  /// Reads `config.json` of a Llama model. Fields that change the arithmetic in a way Weft does not compute are refused by name.
  package init(huggingFace json: JSON, location: String) throws(ModelError) {
    let fields = ConfigFields(json: json, location: location)
    let type = try fields.text("model_type", default: nil)
    guard type == "llama" else {
      throw .unsupported(location: location, field: "model_type", expected: "llama", found: type)
    }
    let activation = try fields.text("hidden_act", default: "silu")
    guard activation == "silu" else {
      throw .unsupported(location: location, field: "hidden_act", expected: "silu", found: activation)
    }
    if let pretraining = json["pretraining_tp"]?.int, pretraining != 1 {
      throw .unsupported(location: location, field: "pretraining_tp", expected: "1", found: "\(pretraining)")
    }
    if let quantization = json["quantization_config"] {
      throw .unsupported(
        location: location, field: "quantization_config", expected: "F32, F16 or BF16 weights", found: quantization.kind)
    }
    let hidden = try fields.integer("hidden_size", default: nil)
    let heads = try fields.integer("num_attention_heads", default: nil)
    guard heads > 0 else {
      throw .invalidConfig(location: location, field: "num_attention_heads", expected: "1 or more", found: "\(heads)")
    }
    // transformers 5 keeps everything rotary in one object; older files have rope_theta and rope_scaling.
    let rope = json["rope_parameters"] ?? json["rope_scaling"]
    let theta = json["rope_parameters"]?["rope_theta"]?.double
    let scaling: RopeScaling = if let rope { try RopeScaling(json: rope, location: location) } else { .none }
    self.init(
      architecture: "llama", name: json["_name_or_path"]?.string ?? "",
      hiddenSize: hidden, layerCount: try fields.integer("num_hidden_layers", default: nil), headCount: heads,
      keyValueHeadCount: try fields.integer("num_key_value_heads", default: heads),
      headDimension: try fields.integer("head_dim", default: hidden / heads),
      intermediateSize: try fields.integer("intermediate_size", default: nil),
      vocabularySize: try fields.integer("vocab_size", default: nil),
      contextLength: try fields.integer("max_position_embeddings", default: 2048),
      ropeTheta: try fields.number("rope_theta", default: theta ?? 10000),
      ropeScaling: scaling,
      rmsNormEpsilon: Float(try fields.number("rms_norm_eps", default: 1e-6)),
      tieWordEmbeddings: json["tie_word_embeddings"]?.bool ?? false,
      attentionBias: json["attention_bias"]?.bool ?? false, feedForwardBias: json["mlp_bias"]?.bool ?? false,
      endTokens: ModelConfig.tokens(json["eos_token_id"]))
    self = try validated(location: location)
  }

  private static func tokens(_ json: JSON?) -> [Int32] {
    if let token = json?.int { return [Int32(clamping: token)] }
    return json?.array?.compactMap { $0.int.map { Int32(clamping: $0) } } ?? []
  }
}

extension RopeScaling {
  init(json: JSON, location: String) throws(ModelError) {
    let fields = ConfigFields(json: json, location: location + ": rope_scaling")
    let type = try fields.text("rope_type", default: json["type"]?.string ?? "default")
    switch type {
    case "default": self = .none
    case "linear": self = .linear(factor: try fields.positive("factor"))
    case "llama3":
      self = .llama3(
        factor: try fields.positive("factor"), lowFrequencyFactor: try fields.positive("low_freq_factor"),
        highFrequencyFactor: try fields.positive("high_freq_factor"),
        originalContext: try fields.positive("original_max_position_embeddings"))
    default:
      throw .unsupported(location: location, field: "rope_type", expected: "default, linear or llama3", found: type)
    }
  }
}

/// Typed look-ups in one JSON object, with errors that name the field.
struct ConfigFields {
  let json: JSON
  let location: String

  func integer(_ field: String, default value: Int?) throws(ModelError) -> Int {
    guard let found = json[field] else { return try required(field, value) }
    guard let number = found.int else { throw invalid(field, "an integer", found.kind) }
    return number
  }

  func number(_ field: String, default value: Double?) throws(ModelError) -> Double {
    guard let found = json[field] else { return try required(field, value) }
    guard let number = found.double else { throw invalid(field, "a number", found.kind) }
    return number
  }

  func positive(_ field: String) throws(ModelError) -> Double {
    let value = try number(field, default: nil)
    guard value.isFinite, value > 0 else { throw invalid(field, "a positive number", "\(value)") }
    return value
  }

  func text(_ field: String, default value: String?) throws(ModelError) -> String {
    guard let found = json[field] else { return try required(field, value) }
    guard let text = found.string else { throw invalid(field, "a string", found.kind) }
    return text
  }

  private func required<Value>(_ field: String, _ value: Value?) throws(ModelError) -> Value {
    guard let value else { throw invalid(field, "a value", "none") }
    return value
  }

  private func invalid(_ field: String, _ expected: String, _ found: String) -> ModelError {
    .invalidConfig(location: location, field: field, expected: expected, found: found)
  }
}
