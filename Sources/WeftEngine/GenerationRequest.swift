// SPDX-License-Identifier: Apache-2.0

/// One message of a conversation.
public struct Message: Sendable, Hashable {
  /// `system`, `user`, `assistant`, or what else the model's template knows.
  public var role: String
  /// What is said.
  public var content: String

  /// A value with these properties.
  public init(role: String, content: String) {
    self.role = role
    self.content = content
  }

  /// What a person says.
  public static func user(_ content: String) -> Message { Message(role: "user", content: content) }
  /// What the model answered.
  public static func assistant(_ content: String) -> Message { Message(role: "assistant", content: content) }
  /// What comes before the conversation.
  public static func system(_ content: String) -> Message { Message(role: "system", content: content) }
}

/// Which adapters are active for a request.
public enum Activation: Sendable, Hashable {
  /// The base alone.
  case base
  /// These, with these weights.
  case mixture(AdapterMixture)
  /// The router decides once, from the prompt.
  case routed
  /// The router decides from the prompt, and again after every sentence of the answer. Keys and values that were computed
  /// under an earlier mixture are kept.
  case routedPerSentence
}

/// What an answer has to be.
public enum OutputGrammar: Sendable, Hashable {
  /// A text of this grammar, in llama.cpp's notation GBNF.
  case gbnf(String)
  /// A JSON document that is valid under this JSON schema, itself a JSON document. What is supported is listed at
  /// `JSONSchemaCompiler`; anything else is refused.
  case jsonSchema(String)
}

/// What to generate from, under which adapters, and how.
public struct GenerationRequest: Sendable {
  /// What the model continues.
  public enum Prompt: Sendable, Hashable {
    /// A conversation, put into words by the model's chat template.
    case messages([Message])
    /// Text as it is, behind the model's begin token.
    case text(String)
    /// Token ids as they are.
    case tokens([Int32])
  }

  /// What the model continues.
  public var prompt: Prompt
  /// Which adapters are active.
  public var activation: Activation
  /// How tokens are chosen.
  public var sampling: SamplingOptions
  /// What the answer has to be; nil leaves it free. A complete answer ends by itself; one that is cut at the longest answer
  /// is not complete, and its finish reason is `length`.
  public var grammar: OutputGrammar?
  /// Of each token, tell how likely the model found it, and that many of the likeliest ones beside it (0 to 100); nil tells
  /// nothing.
  public var logProbabilities: Int?
  /// The longest answer in tokens; the context length limits it further.
  public var maximumTokens: Int
  /// The answer ends before any of these texts.
  public var stopStrings: [String]
  /// The answer ends with any of these tokens, beside the model's own end tokens.
  public var stopTokens: [Int32]
  /// True to go on behind the model's end tokens (for measurements).
  public var ignoresEndTokens: Bool

  /// A value with these properties.
  public init(
    _ prompt: Prompt, activation: Activation = .base, sampling: SamplingOptions = .init(),
    grammar: OutputGrammar? = nil, logProbabilities: Int? = nil, maximumTokens: Int = 256,
    stopStrings: [String] = [], stopTokens: [Int32] = [], ignoresEndTokens: Bool = false
  ) {
    self.prompt = prompt
    self.activation = activation
    self.sampling = sampling
    self.grammar = grammar
    self.logProbabilities = logProbabilities
    self.maximumTokens = maximumTokens
    self.stopStrings = stopStrings
    self.stopTokens = stopTokens
    self.ignoresEndTokens = ignoresEndTokens
  }
}
