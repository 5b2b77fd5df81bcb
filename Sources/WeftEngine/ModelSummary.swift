// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors
internal import WeftTransformer

/// What an engine runs, in numbers.
public struct ModelSummary: Sendable {
  public let path: String
  public let name: String
  public let architecture: String
  public let layerCount: Int
  public let hiddenSize: Int
  public let intermediateSize: Int
  public let headCount: Int
  public let keyValueHeadCount: Int
  public let headDimension: Int
  public let vocabularySize: Int
  /// Tokens of a sequence at most, in this engine.
  public let contextLength: Int
  /// Tokens that the model was made for.
  public let trainedContextLength: Int
  public let hasOutputHead: Bool
  public let hasChatTemplate: Bool
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
