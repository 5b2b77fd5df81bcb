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
  let maximumCount: Int
  /// What the router reads at the beginning: the last user message, or the prompt.
  let routingTokens: [Int32]
  /// Positions that are in the KV cache.
  var cachedCount = 0
  var blocks: [Int32] = []
  var mixture: ActiveMixture?
  /// The router has to choose before the next step.
  var needsRouting: Bool
  /// Adapters that become active with the next step and were not yet told.
  var pendingActivation: [WeightedAdapter]?
  /// Rows in the current batch, and which of its logits belong to this sequence.
  var scheduledCount = 0
  var logitIndex: Int?
  var isCancelled = false
  var isFinished = false
  var sampling: SamplingState
  /// What a grammar permits; nil when there is none.
  let constraint: TokenConstraint?
  /// nil when the model has no tokenizer: then answers have no text.
  var detokenizer: StreamingDetokenizer?
  var stops: StopMatcher
  var result: GenerationResult
  var begin: ContinuousClock.Instant?
  var firstToken: ContinuousClock.Instant?

  init(
    id: SequenceID, request: GenerationRequest, tokens: [Int32], routingTokens: [Int32], maximumCount: Int,
    sampling: SamplingState, constraint: TokenConstraint?, tokenizer: Tokenizer?
  ) {
    self.id = id
    self.request = request
    self.tokens = tokens
    self.routingTokens = routingTokens
    self.maximumCount = maximumCount
    promptCount = tokens.count
    needsRouting = request.activation.isRouted
    self.sampling = sampling
    self.constraint = constraint
    detokenizer = tokenizer.map { StreamingDetokenizer($0, skipSpecial: true, continuing: true) }
    stops = StopMatcher(request.stopStrings)
    result = GenerationResult(promptTokenCount: tokens.count)
    self.tokens.reserveCapacity(maximumCount)
    result.tokens.reserveCapacity(maximumCount - tokens.count)
    if request.logProbabilities != nil { result.logProbabilities.reserveCapacity(maximumCount - tokens.count) }
  }

  /// Tokens of the answer.
  var answerCount: Int { tokens.count - promptCount }
  /// All but the last token are in the cache.
  var isDecoding: Bool { answerCount > 0 }
}
