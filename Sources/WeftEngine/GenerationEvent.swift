// SPDX-License-Identifier: Apache-2.0

/// Names a sequence of one engine.
public struct SequenceID: Sendable, Hashable, CustomStringConvertible {
  let number: UInt64
  /// As text.
  public var description: String { "\(number)" }
}

/// What a step tells about a sequence.
public enum GenerationEvent: Sendable {
  /// These adapters answer from here on (after so many answer tokens): at the start, and whenever that changes.
  case activated(SequenceID, AdapterMixture, tokenCount: Int)
  /// A token was sampled. `text` is what it completes: often a word, sometimes nothing. Log-probabilities come with it when
  /// the request asks for them. Text that was held back comes at the end, with the last token's id once more and without them.
  case token(SequenceID, id: Int32, text: String, TokenLogProbabilities?)
  /// The sequence is over.
  case finished(SequenceID, GenerationResult)
}

/// Why a generation ended.
public enum FinishReason: String, Sendable {
  /// The model's end token, or a stop token of the request.
  case endToken = "end_token"
  /// A stop string of the request; it is not part of the text.
  case stopString = "stop_string"
  /// The text is complete under the request's grammar, and nothing can follow it.
  case grammarEnd = "grammar_end"
  /// The longest answer, or the context, is full. Under a grammar, the text is cut and not complete.
  case length
  /// `Engine.cancel`.
  case cancelled
  /// The router's choice could not be activated, or the grammar could not be followed: see `GenerationResult.error`.
  case failed
}

/// A whole answer.
public struct GenerationResult: Sendable {
  /// A mixture, and the number of answer tokens before it became active.
  public struct ActivatedMixture: Sendable {
    /// Answer tokens before it became active.
    public var tokenCount: Int
    /// Who answers; empty for the base alone.
    public var mixture: AdapterMixture
    /// Names and weights.
    public var adapters: [WeightedAdapter] { mixture.adapters }
  }

  /// The answer, without special tokens.
  public var text = ""
  /// Sampled tokens, the end token included.
  public var tokens: [Int32] = []
  /// For each token, how likely the model found it; empty unless the request asks for it.
  public var logProbabilities: [TokenLogProbabilities] = []
  /// Why it ended.
  public var finishReason = FinishReason.length
  /// Whether prompt and answer fill the context: then `length` means that, and not the request's longest answer.
  public var isContextFull = false
  /// Messages that `ContextPolicy.dropOldest` left out of the prompt.
  public var droppedMessageCount = 0
  /// What went wrong, when `finishReason` is `failed`.
  public var error: EngineError?
  /// Tokens of the prompt.
  public var promptTokenCount = 0
  /// Tokens of the prompt whose keys and values an earlier sequence had computed, under the same adapters.
  public var reusedTokenCount = 0
  /// Which adapters answered, in order.
  public var mixtures: [ActivatedMixture] = []
  /// Seconds from the first step of this sequence to its first token; routing included.
  public var prefillSeconds = 0.0
  /// Seconds from the first token to the last.
  public var decodeSeconds = 0.0

  /// Tokens per second after the first; 0 when there were fewer than two.
  public var tokensPerSecond: Double {
    tokens.count > 1 && decodeSeconds > 0 ? Double(tokens.count - 1) / decodeSeconds : 0
  }
}
