// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftGrammar
internal import WeftRouting
internal import WeftTensors
internal import WeftTokenizers
internal import WeftTransformer

/// One base model in memory, any number of adapters beside it, and the sequences that run on them.
///
///     let engine = try Engine(model: "base.gguf")
///     try engine.loadAdapter("chef", from: "adapters/chef")
///     let request = GenerationRequest(.messages([.user("A soup?")]), activation: .mixture([.init("chef")]))
///     let result = try engine.generate(request) { print($0, terminator: "") }
///
/// An engine is synchronous and belongs to one thread at a time: nothing happens outside its methods, and its worker threads
/// run only inside `step`. Memory for steps, keys and values is reserved when it is opened.
public final class Engine {
  /// What was opened.
  public let model: ModelSummary
  let options: EngineOptions
  let contextLength: Int
  let pool: ThreadPool
  let weights: ModelWeights
  let transformer: Transformer
  let tokenizer: Tokenizer?
  let template: ChatTemplate?
  let batch: Batch
  let sampler: Sampler
  /// The vocabulary as grammars see it; made for the first request that has one.
  var tokenTable: TokenTable?
  var adapterPool = AdapterPool()
  var router: Router?
  var blocks: BlockManager
  /// Blocks that routing passes write: never part of a sequence.
  let routingBlocks: [Int32]
  var waiting: [TokenSequence] = []
  var running: [TokenSequence] = []
  var nextSequence: UInt64 = 1
  /// What is fused into the base; empty when nothing is.
  var fused: Mixture = .base
  var fusedDeltas: [DeltaSet] = []
  /// Tokens that end a generation: the tokenizer's and the configuration's.
  let endTokens: Set<Int32>

  /// Tokens that the router reads at most: the last ones.
  static let routingWindow = 256

  /// Opens a GGUF file or a Hugging Face folder and reserves memory.
  public init(model path: String, options: EngineOptions = EngineOptions()) throws(EngineError) {
    let options = try options.validated()
    self.options = options
    let checkpoint: Checkpoint
    let kernels: Kernels
    do { checkpoint = try Checkpoint(path: path) } catch { throw EngineError(error) }
    do { kernels = try Kernels.best() } catch { throw EngineError(error) }
    do { pool = try ThreadPool(threads: options.threads) } catch { throw EngineError(error) }
    do { weights = try ModelWeights(checkpoint, pool: pool) } catch { throw EngineError(error) }
    let config = weights.config
    (tokenizer, template) = try Engine.openTokenizer(checkpoint)
    if let tokenizer, tokenizer.vocabularySize > config.vocabularySize {
      throw EngineError(
        .corruptFile,
        "\(path): tokenizer: expected at most \(config.vocabularySize) tokens, as the embedding has rows, found \(tokenizer.vocabularySize)"
      )
    }

    endTokens = (tokenizer?.endTokens ?? []).union(config.endTokens)
    contextLength = options.contextLength ?? min(4096, config.contextLength)
    guard contextLength <= config.contextLength else {
      throw EngineError(
        .invalidArgument,
        "context length: expected at most \(config.contextLength), as the model was made for, found \(contextLength)")
    }
    let sequenceBlocks = BlockManager.blocks(for: contextLength)
    let routing = BlockManager.blocks(for: Engine.routingWindow)
    let (total, overflow) = sequenceBlocks.multipliedReportingOverflow(by: options.maximumSequences)
    guard !overflow, total < Int32.max - 65536 else {
      throw EngineError(.outOfMemory, "KV cache: \(options.maximumSequences) sequences of \(contextLength) tokens are too many")
    }
    blocks = BlockManager(blockCount: total + routing)
    routingBlocks = blocks.allocate(routing) ?? []
    do {
      let cache = try KVCache(
        config: config, blockCount: total + routing, dtype: options.kvType.dtype)
      transformer = try Transformer(
        weights: weights, cache: cache, kernels: kernels, pool: pool, maximumRows: options.maximumStepRows,
        maximumLogitRows: min(options.maximumStepRows, max(options.maximumSequences, options.maximumLogitRows)),
        maximumDeltaWidth: options.maximumActiveRank, contextLength: contextLength)
    } catch let error as StorageError { throw EngineError(error) } catch let error as ModelError {
      throw EngineError(error)
    } catch {
      throw EngineError(.outOfMemory, "\(error)")
    }
    batch = Batch(maximumRows: options.maximumStepRows, maximumSegments: options.maximumSequences)
    sampler = Sampler(vocabularySize: config.vocabularySize, maximumHistory: contextLength)
    model = ModelSummary(
      path: path, config: config, weights: weights, kernels: kernels, transformer: transformer,
      contextLength: contextLength, threads: options.threads, hasChatTemplate: template != nil)
  }

  private static func openTokenizer(_ checkpoint: Checkpoint) throws(EngineError) -> (Tokenizer?, ChatTemplate?) {
    let tokenizer: Tokenizer?
    if let gguf = checkpoint.gguf {
      // What llama.cpp's programs write into files without one.
      let kind = gguf.metadata["tokenizer.ggml.model"]?.string ?? "none"
      do {
        tokenizer =
          ["none", "no_vocab"].contains(kind) ? nil : try Tokenizer(metadata: gguf.metadata, location: checkpoint.path)
      } catch { throw EngineError(error) }
    } else {
      tokenizer = try Engine.tokenizer(folder: checkpoint.path)
    }
    guard let source = tokenizer?.chatTemplate else { return (tokenizer, nil) }
    do { return (tokenizer, try ChatTemplate(source: source, location: "\(checkpoint.path): chat template")) } catch {
      throw EngineError(error)
    }
  }

  /// The tokenizer of a Hugging Face folder; nil when the folder has no file of one.
  static func tokenizer(folder: String) throws(EngineError) -> Tokenizer? {
    guard Tokenizer.isPresent(in: folder) else { return nil }
    do { return try Tokenizer(folder: folder) } catch { throw EngineError(error) }
  }
}
