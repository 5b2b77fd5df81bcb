// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
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
  /// What it takes without adapters.
  var basePlan: MemoryPlan
  let tokenizer: Tokenizer?
  let template: ChatTemplate?
  let batch: Batch
  let sampler: Sampler
  /// The vocabulary as grammars see it; made for the first request that has one.
  var tokenTable: TokenTable?
  var adapterPool: AdapterPool
  /// What adapters of one library have in common.
  let sharedTensors = SharedTensors()
  /// Which packs are accepted.
  let packPolicy: PackPolicy
  var router: Router?
  /// What acts beside every choice of the router.
  var routerCompanions: [WeightedAdapter] = []
  var blocks: BlockManager
  /// Blocks that routing passes write: never part of a sequence.
  let routingBlocks: [Int32]
  var waiting: [TokenSequence] = []
  var running: [TokenSequence] = []
  var nextSequence: UInt64 = 1
  /// What is fused into the base; empty when nothing is.
  var fused: ActivatedMixture = .base
  /// Measured when the first plan is made.
  var machineRates: MachineRates?
  /// What composites with a name of their own are made of, by name.
  var compositeContents: [String: String] = [:]
  /// Tokens that end a generation: the tokenizer's and the configuration's.
  let endTokens: Set<Int32>

  /// Tokens that the router reads at most: the last ones.
  static let routingWindow = 256
  /// Segments of a sequence in a step at most: where an adapter is invoked, one before and one from there on.
  static let segmentsPerSequence = 2

  /// Opens a GGUF file or a Hugging Face folder and reserves memory.
  public init(model path: String, options: EngineOptions = EngineOptions()) throws(EngineError) {
    let options = try options.validated()
    self.options = options
    adapterPool = AdapterPool(budget: options.adapterBudget)
    packPolicy = try options.packPolicy()
    let program = ProgramMemory()
    let checkpoint: Checkpoint
    let kernels: Kernels
    do { checkpoint = try Checkpoint(path: path) } catch { throw EngineError(error) }
    do { kernels = try Kernels.best() } catch { throw EngineError(error) }
    do { pool = try ThreadPool(threads: options.threads) } catch { throw EngineError(error) }
    let weightSizes: WeightSizes
    do { weightSizes = try WeightSizes(checkpoint, layers: options.layers) } catch { throw EngineError(error) }
    let config = weightSizes.config
    let text = try TextParts(checkpoint)
    (tokenizer, template) = (text.tokenizer, text.template)
    if let tokenizer, tokenizer.vocabularySize > config.vocabularySize {
      throw EngineError(
        .corruptFile,
        "\(path): tokenizer: expected at most \(config.vocabularySize) tokens, as the embedding has rows, found \(tokenizer.vocabularySize)"
      )
    }
    let sizes = try EngineSizes(options, weightSizes)
    basePlan = try MemoryPlan(
      program: program.byteCount(besides: checkpoint), weights: weightSizes, sizes: sizes, textBytes: text.byteCount,
      options: options)
    try basePlan.validate()

    do {
      weights = try ModelWeights(
        checkpoint, layers: options.layers, roundsActivations: !options.f32Activations, pool: pool)
    } catch { throw EngineError(error) }
    endTokens = (tokenizer?.endTokens ?? []).union(config.endTokens)
    contextLength = sizes.contextLength
    blocks = BlockManager(blockCount: sizes.blockCount)
    routingBlocks = blocks.allocate(sizes.routingBlocks) ?? []
    do {
      let cache = try KVCache(config: config, blockCount: sizes.blockCount, dtype: options.kvType.dtype)
      transformer = try Transformer(
        weights: weights, cache: cache, kernels: kernels, pool: pool, maximumRows: sizes.rows,
        maximumLogitRows: sizes.logitRows, maximumDeltaWidth: sizes.deltaWidth, contextLength: contextLength)
    } catch let error as StorageError { throw EngineError(error) } catch let error as ModelError {
      throw EngineError(error)
    } catch {
      throw EngineError(.outOfMemory, "\(error)")
    }
    batch = Batch(maximumRows: options.maximumStepRows, maximumSegments: options.maximumSequences * Engine.segmentsPerSequence)
    sampler = Sampler(vocabularySize: config.vocabularySize, maximumHistory: contextLength, kernels: kernels)
    model = ModelSummary(
      path: path, config: config, weights: weights, kernels: kernels, transformer: transformer,
      contextLength: contextLength, threads: options.threads, hasChatTemplate: template != nil)
    // Loading leaves holes: what was parsed is no longer needed.
    ProcessMemory.trimHeap()
  }
}
