// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors
internal import WeftTransformer

/// How large everything is that an engine takes when it is opened: worked out once, from its options and the model. The plan of
/// its memory and the engine itself read it here.
struct EngineSizes {
  /// Tokens of a sequence at most.
  let contextLength: Int
  /// Blocks of the KV cache for one sequence, for a routing pass, and in all.
  let sequenceBlocks: Int
  let routingBlocks: Int
  let blockCount: Int
  /// Rows of a step, and those that may want logits.
  let rows: Int
  let logitRows: Int
  let deltaWidth: Int
  let kvBytes: Int
  /// Bytes of one block of the KV cache in all layers.
  let kvBlockBytes: Int
  let workspaceBytes: Int
  /// Whether products with bf16 weights round their activations.
  let roundsActivations: Bool

  init(_ options: EngineOptions, _ weights: WeightSizes) throws(EngineError) {
    let config = weights.config
    contextLength = options.contextLength ?? min(4096, config.contextLength)
    guard contextLength <= config.contextLength else {
      throw EngineError(
        .invalidArgument,
        "context length: expected at most \(config.contextLength), as the model was made for, found \(contextLength)")
    }
    sequenceBlocks = BlockManager.blocks(for: contextLength)
    routingBlocks = BlockManager.blocks(for: Engine.routingWindow)
    let (total, overflow) = sequenceBlocks.multipliedReportingOverflow(by: options.maximumSequences)
    guard !overflow, total < Int32.max - 65536,
      let bytes = KVCache.byteCount(config: config, blockCount: total + routingBlocks, dtype: options.kvType.dtype)
    else {
      throw EngineError(.outOfMemory, "KV cache: \(options.maximumSequences) sequences of \(contextLength) tokens are too many")
    }
    blockCount = total + routingBlocks
    kvBytes = bytes
    kvBlockBytes = KVCache.blockBytes(config: config, dtype: options.kvType.dtype)
    rows = options.maximumStepRows
    logitRows = min(options.maximumStepRows, max(options.maximumSequences, options.maximumLogitRows))
    deltaWidth = options.maximumActiveRank
    roundsActivations = weights.allowsRounding && !options.f32Activations
    do {
      workspaceBytes = try Transformer.workspaceByteCount(
        config: config, roundsActivations: roundsActivations, maximumRows: rows, maximumLogitRows: logitRows,
        maximumDeltaWidth: deltaWidth)
    } catch { throw EngineError(error) }
  }
}
