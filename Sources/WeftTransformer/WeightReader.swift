// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// A tensor of a Llama model, with its name in either form of checkpoint.
enum WeightName {
  case embedding, outputNorm, outputHead
  case attentionNorm(Int), feedForwardNorm(Int)
  case weight(Int, Projection), bias(Int, Projection)

  func name(in form: Checkpoint.Form) -> String {
    switch (self, form) {
    case (.embedding, .gguf): "token_embd.weight"
    case (.embedding, .huggingFace): "model.embed_tokens.weight"
    case (.outputNorm, .gguf): "output_norm.weight"
    case (.outputNorm, .huggingFace): "model.norm.weight"
    case (.outputHead, .gguf): "output.weight"
    case (.outputHead, .huggingFace): "lm_head.weight"
    case (.attentionNorm(let layer), .gguf): "blk.\(layer).attn_norm.weight"
    case (.attentionNorm(let layer), .huggingFace): "model.layers.\(layer).input_layernorm.weight"
    case (.feedForwardNorm(let layer), .gguf): "blk.\(layer).ffn_norm.weight"
    case (.feedForwardNorm(let layer), .huggingFace): "model.layers.\(layer).post_attention_layernorm.weight"
    case (.weight(let layer, let projection), .gguf): "blk.\(layer).\(projection.ggufName).weight"
    case (.bias(let layer, let projection), .gguf): "blk.\(layer).\(projection.ggufName).bias"
    case (.weight(let layer, let projection), .huggingFace): "model.layers.\(layer).\(projection.path).weight"
    case (.bias(let layer, let projection), .huggingFace): "model.layers.\(layer).\(projection.path).bias"
    }
  }
}

extension Projection {
  fileprivate var ggufName: String {
    switch self {
    case .query: "attn_q"
    case .key: "attn_k"
    case .value: "attn_v"
    case .output: "attn_output"
    case .gate: "ffn_gate"
    case .up: "ffn_up"
    case .down: "ffn_down"
    }
  }

  fileprivate var path: String {
    switch self {
    case .query, .key, .value, .output: "self_attn.\(name)"
    case .gate, .up, .down: "mlp.\(name)"
    }
  }
}

/// Takes tensors out of a checkpoint by their role, checks shape, type and values, and at the end that none is left over.
struct WeightReader {
  let checkpoint: Checkpoint
  let config: ModelConfig
  private var unused: Set<String>

  init(_ checkpoint: Checkpoint) throws(ModelError) {
    self.checkpoint = checkpoint
    if let gguf = checkpoint.gguf {
      config = try ModelConfig(gguf: gguf)
    } else if let json = checkpoint.config {
      config = try ModelConfig(huggingFace: json, location: checkpoint.path + "/config.json")
    } else {
      throw .format(.missing(location: checkpoint.path, name: "config.json"))
    }
    unused = Set(checkpoint.tensors.keys)
    // Not weights: the divisors are in the configuration, inverse frequencies of old checkpoints follow from it.
    unused.remove("rope_freqs.weight")
    for name in checkpoint.tensors.keys where name.hasSuffix(".self_attn.rotary_emb.inv_freq") { unused.remove(name) }
  }

  /// A matrix [rows, columns] in any weight format.
  mutating func matrix(_ name: WeightName, rows: Int, columns: Int) throws(ModelError) -> ModelWeights.Source {
    let text = name.name(in: checkpoint.form)
    let tensor = try take(text, shape: [rows, columns])
    guard tensor.dtype.isWeight else {
      throw .unsupported(location: checkpoint.path, field: text, expected: "a weight type", found: tensor.dtype.name)
    }
    return ModelWeights.Source(name: text, tensor: tensor, rowMap: rowMap(name))
  }

  /// A vector of f32 values in memory of its own.
  mutating func vector(_ name: WeightName, count: Int) throws(ModelError) -> Storage {
    let text = name.name(in: checkpoint.form)
    let tensor = try take(text, shape: [count])
    guard tensor.dtype.isWeight, !tensor.dtype.isQuantized else {
      throw .unsupported(location: checkpoint.path, field: text, expected: "F32, F16 or BF16", found: tensor.dtype.name)
    }
    var values = tensor.floats()
    if let map = rowMap(name) { values = map.map { values[Int($0)] } }
    do { return try Tensor(values, shape: [count]).storage } catch { throw .storage(error) }
  }

  /// The bias of a projection; nil when the configuration says that there is none, or leaves it to the file and there is none.
  mutating func bias(_ layer: Int, _ projection: Projection, count: Int) throws(ModelError) -> Storage? {
    let name = WeightName.bias(layer, projection)
    let expected =
      switch projection {
      case .query, .key, .value, .output: config.attentionBias
      case .gate, .up, .down: config.feedForwardBias
      }
    let isPresent = checkpoint.tensors[name.name(in: checkpoint.form)] != nil
    return expected ?? isPresent ? try vector(name, count: count) : nil
  }

  /// The output head; nil when it is the embedding. A configuration that ties them and a file that has a different head
  /// contradict each other.
  mutating func head(embedding: ModelWeights.Source) throws(ModelError) -> ModelWeights.Source? {
    let text = WeightName.outputHead.name(in: checkpoint.form)
    guard checkpoint.tensors[text] != nil else {
      if config.tieWordEmbeddings == false { throw .missingTensor(location: checkpoint.path, name: text) }
      return nil
    }
    let head = try matrix(.outputHead, rows: config.vocabularySize, columns: config.hiddenSize)
    guard config.tieWordEmbeddings == true else { return head }
    let (one, other) = (head.tensor, embedding.tensor)
    let same =
      one.dtype == other.dtype
      && UnsafeRawBufferPointer(start: one.base, count: one.byteCount)
        .elementsEqual(UnsafeRawBufferPointer(start: other.base, count: other.byteCount))
    guard same else {
      throw .invalidConfig(
        location: checkpoint.path, field: "tie_word_embeddings", expected: "\(text) equal to the embedding",
        found: "a different matrix")
    }
    return nil
  }

  /// Refuses tensors that nobody took.
  func finish() throws(ModelError) {
    if let name = unused.min() { throw .unusedTensor(location: checkpoint.path, name: name) }
  }

  private mutating func take(_ name: String, shape: [Int]) throws(ModelError) -> Tensor {
    guard let tensor = checkpoint.tensors[name] else { throw .missingTensor(location: checkpoint.path, name: name) }
    guard tensor.shape == shape else {
      throw .shapeMismatch(location: checkpoint.path, tensor: name, expected: shape, found: tensor.shape)
    }
    if let index = tensor.firstNonFinite() { throw .notFinite(location: checkpoint.path, tensor: name, index: index) }
    unused.remove(name)
    return tensor
  }

  /// transformers' row r of a head comes from GGUF's row 2 i + p, where r = p d/2 + i.
  private func rowMap(_ name: WeightName) -> [Int32]? {
    let heads: Int
    switch name {
    case .weight(_, .query), .bias(_, .query): heads = config.headCount
    case .weight(_, .key), .bias(_, .key): heads = config.keyValueHeadCount
    default: return nil
    }
    guard checkpoint.form == .gguf else { return nil }
    let (d, half) = (config.headDimension, config.headDimension / 2)
    return (0..<heads * d).map { row in
      let (head, r) = (row / d, row % d)
      return Int32(head * d + 2 * (r % half) + r / half)
    }
  }
}
