// SPDX-License-Identifier: Apache-2.0

internal import WeftGrammar
internal import WeftTokenizers
internal import WeftTransformer

/// One request on its way.
///
///     waiting --admit--> prefilling --accept--> decoding --finish--> finished
///
/// A waiting sequence owns no blocks; from `admit` on it owns all that it can ever need, so it is never pushed back.
final class TokenSequence {
  let id: SequenceID
  var request: GenerationRequest
  /// Prompt and answer. Capacity for all of it is reserved at the start.
  var tokens: [Int32]
  let promptCount: Int
  /// The longest that `tokens` may become.
  private(set) var maximumCount = 0
  /// Positions before the first token: `Batch.promptToken` for each of them, and the adapter whose they are.
  private(set) var prefix: [Int32] = []
  private(set) var prefixAdapter: LoadedAdapter?
  /// The adapter whose experts are chosen by a pass over the base, and the blocks of that pass.
  private(set) var gateAdapter: LoadedAdapter?
  var gateBlocks: [Int32] = []
  /// Positions that it may come to have, prefix, prompt and answer.
  private(set) var positionLimit: Int
  /// What the router reads at the beginning: the last user message, or the prompt.
  let routingTokens: [Int32]
  /// Positions that are in the KV cache.
  var cachedCount = 0
  var blocks: [Int32] = []
  var activated = ActivatedMixture.base
  /// What its positions run under, in order; the first one begins at 0.
  var phases: [MixturePhase] = [.base]
  /// nil when nothing that follows can be shared: what was computed so far would not be computed so again.
  var chain: PrefixChain? = PrefixChain()
  /// The router has to choose before the next step.
  var needsRouting: Bool
  /// A mixture that becomes active with the next step and was not yet told.
  var pendingActivation: AdapterMixture?
  /// Rows in the current batch, and which of its logits belong to this sequence.
  var scheduledRows = 0..<0
  var logitIndex: Int?
  var isCancelled = false
  var isFinished = false
  var sampling: SamplingState
  /// What a grammar permits; nil when there is none.
  let constraint: TokenConstraint?
  /// nil when the model has no tokenizer: then answers have no text.
  var detokenizer: StreamingDetokenizer?
  var stops: StopMatcher
  /// What the model thinks of the answer, where somebody asks; it may say what the answer is.
  var score: AnswerScore?
  var result: GenerationResult
  var begin: ContinuousClock.Instant?
  var firstToken: ContinuousClock.Instant?

  init(
    id: SequenceID, request: GenerationRequest, tokens: [Int32], routingTokens: [Int32], contextLength: Int,
    sampling: SamplingState, constraint: TokenConstraint?, tokenizer: Tokenizer?
  ) {
    self.id = id
    self.request = request
    self.tokens = tokens
    self.routingTokens = routingTokens
    promptCount = tokens.count
    needsRouting = request.activation.isRouted
    self.sampling = sampling
    self.constraint = constraint
    detokenizer = tokenizer.map { StreamingDetokenizer($0, skipSpecial: true, continuing: true) }
    stops = StopMatcher(request.stopStrings)
    result = GenerationResult(promptTokenCount: tokens.count)
    positionLimit = contextLength
    begin(with: .base, positionLimit: contextLength)
    self.tokens.reserveCapacity(maximumCount)
    result.tokens.reserveCapacity(maximumCount - tokens.count)
    if request.logProbabilities != nil { result.logProbabilities.reserveCapacity(maximumCount - tokens.count) }
  }

  var prompt: ArraySlice<Int32> { tokens[..<promptCount] }
  /// Positions of prefix, prompt and answer.
  var length: Int { prefix.count + tokens.count }
  /// Blocks that all positions need which it may come to have.
  var blockCount: Int { BlockManager.blocks(for: prefix.count + maximumCount) }
  /// Those of a pass over the base.
  var gateBlockCount: Int { gateAdapter == nil ? 0 : blockCount }
  /// Tokens of the answer.
  var answerCount: Int { tokens.count - promptCount }
  /// All but the last token are in the cache.
  var isDecoding: Bool { answerCount > 0 }

  /// What has to be there from the beginning, of a sequence that has not begun.
  func begin(with activated: ActivatedMixture, positionLimit: Int) {
    prefixAdapter = activated.promptAdapter
    gateAdapter = activated.gateAdapter
    prefix = (0..<(prefixAdapter?.promptCount ?? 0)).map { Batch.promptToken($0) }
    self.positionLimit = positionLimit
    maximumCount = min(positionLimit - prefix.count, promptCount + min(request.maximumTokens, positionLimit))
  }

  /// Other adapters from the next position on. What is in the cache stays as it is.
  func activate(_ activated: ActivatedMixture, _ phases: [MixturePhase]) {
    // A cache of two minds: no other sequence will compute the same from its beginning.
    if cachedCount > 0 && !phases.isSame(as: self.phases) { chain = nil }
    // Nor what was computed in one step, or beside the base's own keys and values.
    if activated.readsWholePrompts || gateAdapter != nil { chain = nil }
    self.activated = activated
    self.phases = phases
  }

  /// Gives back what was reused, when there is not enough memory for the rest.
  func forgetPrefix(_ blocks: inout BlockManager) {
    blocks.release(self.blocks)
    self.blocks = []
    cachedCount = 0
    result.reusedTokenCount = 0
    if chain != nil { chain = PrefixChain() }
  }

  /// Calls `body` with what stands at the positions of a full block.
  func withTokens<Result>(ofBlock index: Int, _ body: (UnsafeBufferPointer<Int32>) -> Result) -> Result {
    let begin = index * BlockManager.blockTokens - prefix.count
    guard begin < 0 else {
      return tokens.withUnsafeBufferPointer {
        body(UnsafeBufferPointer(rebasing: $0[begin..<begin + BlockManager.blockTokens]))
      }
    }
    return withUnsafeTemporaryAllocation(of: Int32.self, capacity: BlockManager.blockTokens) { mixed in
      for offset in 0..<BlockManager.blockTokens {
        let place = begin + offset
        mixed[offset] = place < 0 ? prefix[place + prefix.count] : tokens[place]
      }
      return body(UnsafeBufferPointer(mixed))
    }
  }
}
