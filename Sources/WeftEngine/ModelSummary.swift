// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors
internal import WeftTransformer

/// What an engine runs, in numbers.
public struct ModelSummary: Sendable {
  /// Where it was opened.
  public let path: String
  /// The name that requests use.
  public let name: String
  /// As the file names it.
  public let architecture: String
  /// Decoder layers.
  public let layerCount: Int
  /// Width of the residual stream.
  public let hiddenSize: Int
  /// Width of the feed-forward layer.
  public let intermediateSize: Int
  /// Query heads.
  public let headCount: Int
  /// Key-value heads.
  public let keyValueHeadCount: Int
  /// Width of a head.
  public let headDimension: Int
  /// Rows of the embedding.
  public let vocabularySize: Int
  /// Tokens of a sequence at most, in this engine.
  public let contextLength: Int
  /// Tokens that the model was made for.
  public let trainedContextLength: Int
  /// Whether the output head is a matrix of its own.
  public let hasOutputHead: Bool
  /// Whether conversations can be rendered.
  public let hasChatTemplate: Bool
  /// Tensors of the checkpoint that belong to parts which Weft does not run, as the vision tower of a model that sees.
  public let otherPartTensorCount: Int
  /// Formats of the weight matrices with how many there are of each, as in `Q8_0`.
  public let formats: [(name: String, count: Int)]
  /// Numbers that the model was trained to.
  public let parameterCount: Int
  /// Bytes of packed weights.
  public let weightBytes: Int
  /// Bytes of the KV cache.
  public let kvBytes: Int
  /// Bytes of activations and logits.
  public let workspaceBytes: Int
  /// The instruction-set tier of the kernels: `scalar`, `avx2` or `avx512`.
  public let isa: String
  /// Threads of a step.
  public let threads: Int
  /// Names the base for routers and packs.
  public let fingerprint: String

  init(
    path: String, config: ModelConfig, weights: ModelWeights, kernels: Kernels, transformer: Transformer, contextLength: Int,
    threads: Int, hasChatTemplate: Bool
  ) {
    self.path = path
    name = config.name
    architecture = config.architecture
    layerCount = config.layerCount
    hiddenSize = config.hiddenSize
    intermediateSize = config.intermediateSize
    headCount = config.headCount
    keyValueHeadCount = config.keyValueHeadCount
    headDimension = config.headDimension
    vocabularySize = config.vocabularySize
    self.contextLength = contextLength
    trainedContextLength = config.contextLength
    hasOutputHead = weights.hasOutputHead
    self.hasChatTemplate = hasChatTemplate
    otherPartTensorCount = weights.otherPartTensors
    formats = weights.formats.map { (name: $0.key.name, count: $0.value) }.sorted { $0.name < $1.name }
    parameterCount = weights.parameterCount
    weightBytes = weights.byteCount
    kvBytes = transformer.cache.byteCount
    workspaceBytes = transformer.workspaceByteCount
    isa = kernels.isa.name
    self.threads = threads
    fingerprint = weights.fingerprint
  }
}
