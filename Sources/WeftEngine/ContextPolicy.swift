// SPDX-License-Identifier: Apache-2.0

/// What happens when a conversation and its answer no longer fit into the context.
///
/// An answer that reaches the end of the context ends there under either policy, with `FinishReason.length` and
/// `GenerationResult.isContextFull`: nothing is computed beyond what the model was opened for.
public enum ContextPolicy: String, Sendable, CaseIterable {
  /// A prompt that is too long is refused.
  case stop
  /// The oldest turns of a conversation are left out until the rest fits and leaves room for an answer: the longest one that
  /// the request allows, at most a quarter of the context. A turn is a message of the user and all that follows it up to the
  /// next one; what stands before the first turn (the system prompt) and the last turn always stay. A conversation whose last
  /// turn alone is too long is refused, and so are other prompts that are too long.
  case dropOldest = "drop-oldest"
}

extension Engine {
  /// How many messages of a conversation, counted from its first turn, a request with this longest answer will leave out: 0
  /// under `ContextPolicy.stop`.
  /// - Parameter activation: the adapters that will answer: a prompt of theirs needs room too.
  public func messagesToDrop(
    _ messages: [Message], maximumTokens: Int, activation: Activation = .base
  ) throws(EngineError) -> Int {
    try messagesToDrop(
      messages, maximumTokens: maximumTokens, behind: activated(activation).0.promptAdapter?.promptCount ?? 0)
  }

  private func messagesToDrop(_ messages: [Message], maximumTokens: Int, behind count: Int) throws(EngineError) -> Int {
    guard options.contextPolicy == .dropOldest else { return 0 }
    let turns = messages.indices.filter { messages[$0].role == "user" }
    guard let first = turns.first else { return 0 }
    let room = max(1, min(maximumTokens, contextLength / 4)) + count
    for turn in turns {
      let kept = Array(messages[..<first] + messages[turn...])
      if try promptTokens(.messages(kept)).count + room <= contextLength || turn == turns.last { return turn - first }
    }
    return 0
  }

  /// The prompt of a request after the policy, and how many messages it left out.
  /// - Parameter count: positions before its first token.
  func fitted(_ request: GenerationRequest, behind count: Int) throws(EngineError) -> (
    prompt: GenerationRequest.Prompt, dropped: Int
  ) {
    guard case .messages(let messages) = request.prompt, let first = messages.firstIndex(where: { $0.role == "user" })
    else { return (request.prompt, 0) }
    let dropped = try messagesToDrop(messages, maximumTokens: request.maximumTokens, behind: count)
    guard dropped > 0 else { return (request.prompt, 0) }
    return (.messages(Array(messages[..<first] + messages[(first + dropped)...])), dropped)
  }
}
