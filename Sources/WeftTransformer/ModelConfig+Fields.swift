// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

extension ModelConfig {
  /// What nearly all architectures share: sizes, one rotary table, RMS norms, a gated SiLU feed-forward. The file of an
  /// architecture changes what differs and calls `validated`.
  /// - Parameter epsilon: where the file does not say.
  init(_ fields: ConfigFields, _ architecture: String, epsilon: Double = 1e-6) throws(ModelError) {
    try ModelConfig.refuseForeign(fields)
    let hidden = try fields.integer(.hiddenSize)
    let layerCount = try fields.integer(.layerCount)
    guard layerCount >= 1, layerCount <= 1 << 12 else { throw fields.invalid(.layerCount, "1 to \(1 << 12)", "\(layerCount)") }
    guard let heads = try fields.perLayer(.headCount, layers: layerCount) else {
      throw fields.invalid(.headCount, "an integer", "none")
    }
    guard let first = heads.first, first > 0 else { throw fields.invalid(.headCount, "1 or more", "\(heads.first ?? 0)") }
    let keyValueHeads = try fields.perLayer(.keyValueHeadCount, layers: layerCount) ?? heads
    guard let widths = try fields.perLayer(.intermediateSize, layers: layerCount) else {
      throw fields.invalid(.intermediateSize, "an integer", "none")
    }
    let headDimension = try fields.integer(.headDimension, default: hidden / first)
    let values = try fields.integer(.valueDimension, default: headDimension)
    guard values == headDimension else {
      throw fields.unsupported(.valueDimension, expected: "the head dimension \(headDimension)", found: "\(values)")
    }
    let context = try fields.integer(.contextLength, default: fields.gguf == nil ? 2048 : nil)
    let json = fields.json
    self.init(
      architecture: architecture,
      name: fields.gguf?.metadata["general.name"]?.string ?? json?["_name_or_path"]?.string ?? "", hiddenSize: hidden,
      vocabularySize: try fields.integer(
        .vocabularySize, default: fields.gguf?.tensors["token_embd.weight"]?.rows),
      contextLength: context, headDimension: headDimension,
      layers: (0..<layerCount).map {
        LayerConfig(headCount: heads[$0], keyValueHeadCount: keyValueHeads[$0], intermediateSize: widths[$0])
      },
      normEpsilon: Float(try fields.number(.normEpsilon, default: epsilon)), rotaries: [],
      attentionScale: 1 / Float(headDimension).squareRoot(),
      tieWordEmbeddings: fields.gguf == nil ? try fields.bool("tie_word_embeddings", default: false) : nil,
      biases: fields.gguf == nil ? [] : nil, endTokens: ModelConfig.endTokens(fields))
    rotaries = [try RotaryConfig(fields, headDimension: headDimension, context: context)]
  }

  /// Tokens that end a generation: one number, a list, or GGUF's two keys.
  private static func endTokens(_ fields: ConfigFields) -> [Int32] {
    if let metadata = fields.gguf?.metadata {
      return ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
        .compactMap { metadata[$0]?.int.map { Int32(clamping: $0) } }
    }
    guard let json = fields.outer?["eos_token_id"] ?? fields.json?["eos_token_id"] else { return [] }
    if let token = json.int { return [Int32(clamping: token)] }
    return json.array?.compactMap { $0.int.map { Int32(clamping: $0) } } ?? []
  }

  /// What would change the arithmetic of any model.
  private static func refuseForeign(_ fields: ConfigFields) throws(ModelError) {
    guard let json = fields.json else { return }
    if let pretraining = json["pretraining_tp"]?.int, pretraining != 1 {
      throw .unsupported(location: fields.location, field: "pretraining_tp", expected: "1", found: "\(pretraining)")
    }
    if let quantization = fields.outer?["quantization_config"] ?? json["quantization_config"] {
      throw .unsupported(
        location: fields.location, field: "quantization_config",
        expected: "F32, F16 or BF16 weights (or the model as GGUF)",
        found: quantization["quant_method"]?.string ?? quantization.kind)
    }
  }

  /// The kind of every layer from transformers' `layer_types`, or nil when the file has none.
  static func slidingLayers(_ fields: ConfigFields, count: Int) throws(ModelError) -> [Bool]? {
    guard let list = fields.json?["layer_types"]?.array else { return nil }
    let key = ConfigKey("layer_types", "")
    guard list.count == count else { throw fields.invalid(key, "\(count) names", "\(list.count)") }
    var sliding: [Bool] = []
    for item in list {
      switch item.string {
      case "sliding_attention": sliding.append(true)
      case "full_attention": sliding.append(false)
      default: throw fields.unsupported(key, expected: "full_attention or sliding_attention", found: item.kind)
      }
    }
    return sliding
  }
}

extension RotaryConfig {
  /// The table of a model that has one.
  init(_ fields: ConfigFields, headDimension: Int, context: Int) throws(ModelError) {
    dimension = headDimension
    if fields.gguf != nil {
      dimension = try fields.integer(.rotaryDimension, default: headDimension)
    } else {
      let share = fields.json?["rope_parameters"]?["partial_rotary_factor"]?.double
      let factor = try fields.number(.rotaryDimension, default: share ?? 1)
      guard factor > 0, factor <= 1 else { throw fields.invalid(.rotaryDimension, "a number above 0, up to 1", "\(factor)") }
      dimension = Int(Double(headDimension) * factor)
    }
    guard dimension >= 0, dimension <= headDimension else {
      throw fields.invalid(.rotaryDimension, "up to the head dimension \(headDimension)", "\(dimension)")
    }
    theta = try fields.number(.ropeTheta, default: fields.json?["rope_parameters"]?["rope_theta"]?.double ?? 10000)
    scaling = try RopeScaling(fields, dimension: dimension, context: context)
  }
}
