// SPDX-License-Identifier: Apache-2.0

package import WeftFormats
internal import WeftTensors

extension ModelConfig {
  /// Reads the metadata of a GGUF file of architecture `llama`.
  package init(gguf file: GGUFFile) throws(ModelError) {
    let metadata = file.metadata
    let location = file.path
    let architecture = metadata["general.architecture"]?.string
    guard architecture == "llama" else {
      throw .unsupported(
        location: location, field: "general.architecture", expected: "llama", found: architecture ?? "no architecture")
    }
    func integer(_ key: String, default value: Int? = nil) throws(ModelError) -> Int {
      guard let found = metadata["llama." + key] else {
        if let value { return value }
        throw .invalidConfig(location: location, field: "llama." + key, expected: "an integer", found: "none")
      }
      guard let number = found.int else {
        throw .invalidConfig(location: location, field: "llama." + key, expected: "an integer", found: found.summary)
      }
      return number
    }
    func number(_ key: String, default value: Double) throws(ModelError) -> Double {
      guard let found = metadata["llama." + key] else { return value }
      guard let number = found.double else {
        throw .invalidConfig(location: location, field: "llama." + key, expected: "a number", found: found.summary)
      }
      return number
    }
    if let experts = metadata["llama.expert_count"]?.int, experts > 0 {
      throw .unsupported(location: location, field: "llama.expert_count", expected: "0", found: "\(experts)")
    }
    let hidden = try integer("embedding_length")
    let heads = try integer("attention.head_count")
    guard heads > 0 else {
      throw .invalidConfig(location: location, field: "llama.attention.head_count", expected: "1 or more", found: "\(heads)")
    }
    let headDimension = try integer("attention.key_length", default: hidden / heads)
    let valueLength = try integer("attention.value_length", default: headDimension)
    let rotated = try integer("rope.dimension_count", default: headDimension)
    for (field, value) in [("attention.value_length", valueLength), ("rope.dimension_count", rotated)]
    where value != headDimension {
      throw .unsupported(
        location: location, field: "llama." + field, expected: "the head dimension \(headDimension)", found: "\(value)")
    }
    let embedding = file.tensors["token_embd.weight"]
    let end = [metadata["tokenizer.ggml.eos_token_id"]?.int, metadata["tokenizer.ggml.eot_token_id"]?.int]
    self.init(
      architecture: "llama", name: metadata["general.name"]?.string ?? "", hiddenSize: hidden,
      layerCount: try integer("block_count"), headCount: heads,
      keyValueHeadCount: try integer("attention.head_count_kv", default: heads), headDimension: headDimension,
      intermediateSize: try integer("feed_forward_length"),
      vocabularySize: try integer("vocab_size", default: embedding?.rows), contextLength: try integer("context_length"),
      ropeTheta: try number("rope.freq_base", default: 10000),
      ropeScaling: try RopeScaling(gguf: file, headDimension: headDimension),
      rmsNormEpsilon: Float(try number("attention.layer_norm_rms_epsilon", default: 1e-5)), tieWordEmbeddings: nil,
      attentionBias: nil, feedForwardBias: nil,
      endTokens: end.compactMap { $0.map { Int32(clamping: $0) } })
    self = try validated(location: location)
  }
}

extension RopeScaling {
  init(gguf file: GGUFFile, headDimension: Int) throws(ModelError) {
    if let divisors = file.tensors["rope_freqs.weight"] {
      guard divisors.shape == [headDimension / 2], divisors.dtype == .f32 else {
        throw .shapeMismatch(
          location: file.path, tensor: "rope_freqs.weight", expected: [headDimension / 2], found: divisors.shape)
      }
      let values = divisors.floats()
      guard let bad = values.firstIndex(where: { !($0 > 0 && $0.isFinite) }) else {
        self = .divisors(values)
        return
      }
      throw .notFinite(location: file.path, tensor: "rope_freqs.weight", index: bad)
    }
    let type = file.metadata["llama.rope.scaling.type"]?.string ?? "none"
    switch type {
    case "none": self = .none
    case "linear":
      guard let factor = file.metadata["llama.rope.scaling.factor"]?.double, factor > 0, factor.isFinite else {
        throw .invalidConfig(
          location: file.path, field: "llama.rope.scaling.factor", expected: "a positive number",
          found: "\(file.metadata["llama.rope.scaling.factor"]?.summary ?? "none")")
      }
      self = .linear(factor: factor)
    default:
      throw .unsupported(
        location: file.path, field: "llama.rope.scaling.type", expected: "none or linear", found: type)
    }
  }
}
