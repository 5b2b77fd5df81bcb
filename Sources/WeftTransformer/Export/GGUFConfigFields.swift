// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftFormats

/// A configuration as the metadata of a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
struct GGUFConfigFields {
  private(set) var metadata: [GGUFWriter.Pair] = []
  /// Divisors of rotary frequencies, which GGUF stores as tensors.
  private(set) var vectors: [(name: String, values: [Float])] = []
  private(set) var notes: [String] = []

  private let architecture: String

  /// - Parameters:
  ///   - architecture: `general.architecture`.
  ///   - location: the folder, for errors.
  init(_ config: ModelConfig, architecture: String, location: String) throws(ModelError) {
    self.architecture = architecture
    var config = config
    add(config)
    let differences = try differences(config, location)
    guard !differences.isEmpty else { return }
    // Up to its length a window changes nothing: a file for contexts of that length is right.
    let window = config.layers.map(\.window).filter { $0 > 0 }.min() ?? 0
    guard differences == ["sliding_window"], window > 0 else {
      throw .unsupported(
        location: location, field: differences.joined(separator: ", "),
        expected: "one that GGUF has a field for in \"\(architecture)\" files", found: "a value that would be lost")
    }
    notes.append(
      "GGUF has no sliding window for \"\(architecture)\": the file is for contexts of up to \(window) tokens, "
        + "in which the window changes nothing")
    config.contextLength = window
    for layer in config.layers.indices { config.layers[layer].window = 0 }
    (metadata, vectors) = ([], [])
    add(config)
    let rest = try self.differences(config, location)
    guard rest.isEmpty else {
      throw .unsupported(
        location: location, field: rest.joined(separator: ", "),
        expected: "one that GGUF has a field for in \"\(architecture)\" files", found: "a value that would be lost")
    }
  }

  private mutating func add(_ key: String, _ value: GGUFField) { metadata.append(("\(architecture).\(key)", value)) }
  private mutating func add(_ key: ConfigKey, _ value: Int) { add(key.gguf, .uint32(UInt32(clamping: value))) }
  private mutating func add(_ key: ConfigKey, _ value: Float) { add(key.gguf, .float32(value)) }
  private mutating func add(_ key: ConfigKey, _ value: Double) { add(key, Float(value)) }

  /// One number where all layers agree, else a list.
  private mutating func add(_ key: ConfigKey, _ values: [Int]) {
    if let first = values.first, values.allSatisfy({ $0 == first }) { return add(key, first) }
    add(key.gguf, .int32s(values.map { Int32(clamping: $0) }))
  }

  private mutating func add(_ config: ModelConfig) {
    add(.vocabularySize, config.vocabularySize)
    add(.contextLength, config.contextLength)
    add(.hiddenSize, config.hiddenSize)
    add(.layerCount, config.layerCount)
    add(.intermediateSize, config.layers.map { feedForwardWidth($0, config) })
    add(.headCount, config.layers.map(\.headCount))
    add(.keyValueHeadCount, config.layers.map(\.keyValueHeadCount))
    add(.headDimension, config.headDimension)
    add(.valueDimension, config.headDimension)
    add(config.norm == .layer ? .layerNormEpsilon : .normEpsilon, config.normEpsilon)
    addRotaries(config)
    if let experts = config.experts {
      add(.expertCount, experts.count)
      add(.usedExpertCount, experts.usedCount)
      add(.expertIntermediateSize, experts.intermediateSize)
      if experts.sharedIntermediateSize > 0 { add(.sharedIntermediateSize, experts.sharedIntermediateSize) }
    }
    if config.attentionSoftcap > 0 { add(.attentionSoftcap, config.attentionSoftcap) }
    if config.logitSoftcap > 0 { add(.logitSoftcap, config.logitSoftcap) }
    if architecture == "granite" {
      add(.attentionScale, config.attentionScale)
      add(.embeddingScale, config.embeddingScale)
      add(.residualScale, config.residualScale)
      add(.logitScale, 1 / config.logitScale)
    }
    // Phi-3's 0 says that there is none.
    let window = config.layers.map(\.window).max() ?? 0
    if architecture == "phi3" || window > 0 && (architecture == "gemma2" || architecture == "gemma3") {
      add(.slidingWindow, window)
    }
  }

  /// A llama with experts has their width where others have that of the layer.
  private func feedForwardWidth(_ layer: LayerConfig, _ config: ModelConfig) -> Int {
    guard layer.isSparse, let experts = config.experts else { return layer.intermediateSize }
    return layer.intermediateSize > 0 ? layer.intermediateSize : experts.intermediateSize
  }

  private mutating func addRotaries(_ config: ModelConfig) {
    guard let rotary = config.rotaries.first else { return }
    add(.ropeTheta, rotary.theta)
    add(.rotaryDimension, rotary.dimension)
    if config.rotaries.count > 1 { add(.localRopeTheta, config.rotaries[1].theta) }
    switch rotary.scaling {
    case .none, .divisors:
      // llama.cpp wants it of every Phi-3, scaled or not.
      if architecture == "phi3" { add(.originalContext, config.contextLength) }
    case .linear(let factor):
      add(ConfigKey.ropeScaling.gguf, .string("linear"))
      add(.ropeFactor, factor)
    case .yarn(let factor, let original, let fast, let slow, let magnitude):
      add(ConfigKey.ropeScaling.gguf, .string("yarn"))
      add(.ropeFactor, factor)
      add(.originalContext, Int(original))
      add("rope.scaling.yarn_beta_fast", .float32(Float(fast)))
      add("rope.scaling.yarn_beta_slow", .float32(Float(slow)))
      // The factor stands for what comes on top of the paper's.
      let usual = factor <= 1 ? 1 : 0.1 * log(factor) + 1
      if abs(magnitude / usual - 1) > 1e-6 { add(.attentionFactor, magnitude / usual) }
    case .llama3:
      let plain = RotaryEmbedding(RotaryConfig(dimension: rotary.dimension, theta: rotary.theta), contextLength: 1)
      let scaled = RotaryEmbedding(rotary, contextLength: 1)
      vectors.append(("rope_freqs.weight", zip(plain.inverseFrequencies, scaled.inverseFrequencies).map { $0 / $1 }))
    case .longRoPE(let short, let long, let original, let magnitude):
      add(.originalContext, original)
      add(.attentionFactor, magnitude)
      vectors.append(("rope_factors_long.weight", long))
      vectors.append(("rope_factors_short.weight", short))
    }
  }

  // MARK: - Reading back

  /// The fields of `config.json` whose meaning is lost in this metadata.
  private func differences(_ config: ModelConfig, _ location: String) throws(ModelError) -> [String] {
    let file: GGUFFile
    do {
      file = try GGUFFile(
        path: location, metadata: [("general.architecture", .string(architecture))] + metadata, vectors: vectors)
    } catch { throw .format(error) }
    let fields = ConfigFields(gguf: file, architecture: architecture)
    guard let reader = Architecture.all.first(where: { $0.ggufNames.contains(architecture) && $0.claims(fields) }) else {
      return ["model_type"]
    }
    let read = try reader.configure(fields)
    var names: [String] = []
    func compare(_ name: String, _ isSame: Bool) { if !isSame { names.append(name) } }
    func close(_ a: Float, _ b: Float) -> Bool { abs(a - b) <= 1e-6 * max(abs(a), abs(b)) }
    compare("hidden_size", config.hiddenSize == read.hiddenSize && config.headDimension == read.headDimension)
    compare("rms_norm_eps", close(config.normEpsilon, read.normEpsilon) && config.norm == read.norm)
    compare("qk_norm", config.queryKeyNorm == read.queryKeyNorm)
    compare("hidden_act", config.activation == read.activation)
    compare("max_position_embeddings", config.contextLength == read.contextLength && config.positionRows == read.positionRows)
    compare("embedding_multiplier", close(config.embeddingScale, read.embeddingScale))
    compare("residual_multiplier", close(config.residualScale, read.residualScale))
    compare(
      architecture.hasPrefix("gemma") ? "query_pre_attn_scalar" : "attention_multiplier",
      close(config.attentionScale, read.attentionScale))
    compare("attn_logit_softcapping", close(config.attentionSoftcap, read.attentionSoftcap))
    compare("logits_scaling", close(config.logitScale, read.logitScale))
    compare("final_logit_softcapping", close(config.logitSoftcap, read.logitSoftcap))
    compare("norm_topk_prob", config.experts?.normalizesWeights == read.experts?.normalizesWeights)
    compare("num_experts", config.experts?.count == read.experts?.count && config.experts?.usedCount == read.experts?.usedCount)
    compare("moe_intermediate_size", config.experts?.intermediateSize == read.experts?.intermediateSize)
    let pairs = zip(config.layers, read.layers)
    compare("num_hidden_layers", config.layerCount == read.layerCount)
    compare(
      "num_attention_heads",
      pairs.allSatisfy { $0.headCount == $1.headCount && $0.keyValueHeadCount == $1.keyValueHeadCount })
    compare("intermediate_size", pairs.allSatisfy { $0.intermediateSize == $1.intermediateSize })
    compare("mlp_only_layers", pairs.allSatisfy { $0.isSparse == $1.isSparse })
    compare("no_rope_layers", pairs.allSatisfy { ($0.rotary == nil) == ($1.rotary == nil) })
    compare("rope_parameters", pairs.allSatisfy { rotates(config, $0, as: read, $1) })
    // A window as long as the context is none.
    func window(_ layer: LayerConfig) -> Int { layer.window < config.contextLength ? layer.window : 0 }
    compare("sliding_window", pairs.allSatisfy { window($0) == window($1) })
    return names
  }

  /// Whether a layer rotates alike under both configurations, in short contexts and long ones.
  private func rotates(_ config: ModelConfig, _ layer: LayerConfig, as other: ModelConfig, _ otherLayer: LayerConfig) -> Bool {
    guard let one = layer.rotary, let two = otherLayer.rotary else { return true }
    let tables = (config.rotaries[one], other.rotaries[two])
    guard tables.0.dimension == tables.1.dimension else { return false }
    return [1, config.contextLength].allSatisfy { length in
      let (a, b) = (
        RotaryEmbedding(tables.0, contextLength: length), RotaryEmbedding(tables.1, contextLength: length)
      )
      return abs(a.magnitude - b.magnitude) <= 1e-6 * abs(a.magnitude)
        && zip(a.inverseFrequencies, b.inverseFrequencies).allSatisfy { abs($0 - $1) <= 2e-6 * abs($0) }
    }
  }
}
