// SPDX-License-Identifier: Apache-2.0

package import WeftFormats
internal import WeftTensors

/// A field of a model's configuration, with its spelling in `config.json` and in GGUF metadata (behind the architecture's
/// name). An empty spelling: this form does not have it.
package struct ConfigKey: Sendable, Hashable {
  package let huggingFace: String
  package let gguf: String

  package init(_ huggingFace: String, _ gguf: String) {
    self.huggingFace = huggingFace
    self.gguf = gguf
  }

  package static let hiddenSize = ConfigKey("hidden_size", "embedding_length")
  package static let layerCount = ConfigKey("num_hidden_layers", "block_count")
  package static let headCount = ConfigKey("num_attention_heads", "attention.head_count")
  package static let keyValueHeadCount = ConfigKey("num_key_value_heads", "attention.head_count_kv")
  package static let headDimension = ConfigKey("head_dim", "attention.key_length")
  package static let valueDimension = ConfigKey("", "attention.value_length")
  package static let intermediateSize = ConfigKey("intermediate_size", "feed_forward_length")
  package static let vocabularySize = ConfigKey("vocab_size", "vocab_size")
  package static let contextLength = ConfigKey("max_position_embeddings", "context_length")
  package static let normEpsilon = ConfigKey("rms_norm_eps", "attention.layer_norm_rms_epsilon")
  package static let layerNormEpsilon = ConfigKey("layer_norm_epsilon", "attention.layer_norm_epsilon")
  package static let ropeTheta = ConfigKey("rope_theta", "rope.freq_base")
  package static let localRopeTheta = ConfigKey("rope_local_base_freq", "rope.freq_base_swa")
  package static let rotaryDimension = ConfigKey("partial_rotary_factor", "rope.dimension_count")
  package static let ropeScaling = ConfigKey("rope_scaling", "rope.scaling.type")
  package static let ropeFactor = ConfigKey("factor", "rope.scaling.factor")
  package static let originalContext = ConfigKey("original_max_position_embeddings", "rope.scaling.original_context_length")
  package static let slidingWindow = ConfigKey("sliding_window", "attention.sliding_window")
  package static let slidingPattern = ConfigKey("sliding_window_pattern", "attention.sliding_window_pattern")
  package static let attentionScale = ConfigKey("attention_multiplier", "attention.scale")
  package static let attentionSoftcap = ConfigKey("attn_logit_softcapping", "attn_logit_softcapping")
  package static let logitSoftcap = ConfigKey("final_logit_softcapping", "final_logit_softcapping")
  package static let embeddingScale = ConfigKey("embedding_multiplier", "embedding_scale")
  package static let residualScale = ConfigKey("residual_multiplier", "residual_scale")
  package static let logitScale = ConfigKey("logits_scaling", "logit_scale")
  package static let expertCount = ConfigKey("num_experts", "expert_count")
  package static let usedExpertCount = ConfigKey("num_experts_per_tok", "expert_used_count")
  package static let expertIntermediateSize = ConfigKey("moe_intermediate_size", "expert_feed_forward_length")
  package static let sharedIntermediateSize = ConfigKey(
    "shared_expert_intermediate_size", "expert_shared_feed_forward_length")
}

/// Typed look-ups in the configuration of a model, whichever form it has, with errors that name the field as the file does.
package struct ConfigFields {
  private enum Source {
    case huggingFace(JSON)
    case gguf(GGUFFile, architecture: String)
  }

  private let source: Source
  /// The whole of `config.json`, where `json` is a part of it.
  package let outer: JSON?
  /// The file, for errors.
  package let location: String
  /// Spellings of `config.json` that differ from the usual ones (GPT-2: `n_embd`).
  package var spellings: [ConfigKey: String] = [:]
  /// What an absent integer is, where a model leaves it out.
  package var fallbacks: [ConfigKey: Int] = [:]

  /// - Parameter outer: the object that `json` is a part of, in a model of several kinds of input.
  package init(huggingFace json: JSON, within outer: JSON? = nil, location: String) {
    source = .huggingFace(json)
    self.outer = outer
    self.location = location
  }

  package init(gguf file: GGUFFile, architecture: String) {
    source = .gguf(file, architecture: architecture)
    outer = nil
    location = file.path
  }

  /// `config.json`; nil for GGUF.
  package var json: JSON? { if case .huggingFace(let json) = source { json } else { nil } }
  /// The GGUF file; nil for a folder.
  package var gguf: GGUFFile? { if case .gguf(let file, _) = source { file } else { nil } }

  /// The name of a field in this form, for errors.
  package func name(_ key: ConfigKey) -> String {
    switch source {
    case .huggingFace: spellings[key] ?? key.huggingFace
    case .gguf(_, let architecture): architecture + "." + key.gguf
    }
  }

  private enum Value {
    case json(JSON)
    case gguf(GGUFValue)

    var int: Int? {
      switch self {
      case .json(let json): json.int
      case .gguf(let value): value.int
      }
    }
    var double: Double? {
      switch self {
      case .json(let json): json.double
      case .gguf(let value): value.double
      }
    }
    var summary: String {
      switch self {
      case .json(let json): json.kind
      case .gguf(let value): value.summary
      }
    }
    var integers: [Int]? {
      switch self {
      case .json(let json):
        guard let elements = json.array else { return nil }
        let numbers = elements.compactMap(\.int)
        return numbers.count == elements.count ? numbers : nil
      case .gguf(let value): return value.integers?.map { Int($0) }
      }
    }
  }

  private func value(_ key: ConfigKey) -> Value? {
    switch source {
    case .huggingFace(let json):
      let spelling = spellings[key] ?? key.huggingFace
      return spelling.isEmpty ? nil : json[spelling].map { .json($0) }
    case .gguf(let file, let architecture):
      return key.gguf.isEmpty ? nil : file.metadata[architecture + "." + key.gguf].map { .gguf($0) }
    }
  }

  /// True when `config.json` has the field and says null: switched off, where absent may mean a default.
  package func isNull(_ key: ConfigKey) -> Bool {
    json?.members?.contains { $0.key == spellings[key] ?? key.huggingFace && $0.value.isNull } ?? false
  }

  /// True when the file has the field.
  package func has(_ key: ConfigKey) -> Bool { value(key) != nil }

  /// An integer; without a default, one that must be there.
  package func integer(_ key: ConfigKey, default fallback: Int? = nil) throws(ModelError) -> Int {
    guard let found = value(key) else { return try required(key, fallbacks[key] ?? fallback) }
    guard let number = found.int else { throw invalid(key, "an integer", found.summary) }
    return number
  }

  /// A number; without a default, one that must be there.
  package func number(_ key: ConfigKey, default fallback: Double? = nil) throws(ModelError) -> Double {
    guard let found = value(key) else { return try required(key, fallback) }
    guard let number = found.double else { throw invalid(key, "a number", found.summary) }
    return number
  }

  /// A finite number above 0 that must be there.
  package func positive(_ key: ConfigKey) throws(ModelError) -> Double {
    let number = try number(key)
    guard number.isFinite, number > 0 else { throw invalid(key, "a positive number", "\(number)") }
    return number
  }

  /// One integer for every layer: an array, or one number for all. Nil when absent.
  package func perLayer(_ key: ConfigKey, layers: Int) throws(ModelError) -> [Int]? {
    guard let found = value(key) else { return fallbacks[key].map { Array(repeating: $0, count: layers) } }
    if let number = found.int { return Array(repeating: number, count: layers) }
    guard let numbers = found.integers, numbers.count == layers else {
      throw invalid(key, "an integer, or \(layers) of them", found.summary)
    }
    return numbers
  }

  /// A switch of `config.json`; the fallback for GGUF.
  package func bool(_ field: String, default fallback: Bool) throws(ModelError) -> Bool {
    guard let found = json?[field] else { return fallback }
    guard let value = found.bool else {
      throw .invalidConfig(location: location, field: field, expected: "true or false", found: found.kind)
    }
    return value
  }

  /// The width of a tensor in a GGUF file: what its metadata leaves to the tensors.
  package func columns(of tensor: String) -> Int? { gguf?.tensors[tensor]?.columns }

  /// Refuses any other value of a text field of `config.json`. Absent is the first one.
  package func require(_ field: String, _ expected: String...) throws(ModelError) {
    guard let found = json?[field] else { return }
    guard let text = found.string, expected.contains(text) else {
      throw .unsupported(
        location: location, field: field, expected: expected.joined(separator: " or "), found: found.string ?? found.kind)
    }
  }

  private func required<Value>(_ key: ConfigKey, _ value: Value?) throws(ModelError) -> Value {
    guard let value else { throw invalid(key, "a value", "none") }
    return value
  }

  package func invalid(_ key: ConfigKey, _ expected: String, _ found: String) -> ModelError {
    .invalidConfig(location: location, field: name(key), expected: expected, found: found)
  }

  package func unsupported(_ key: ConfigKey, expected: String, found: String) -> ModelError {
    .unsupported(location: location, field: name(key), expected: expected, found: found)
  }
}
