// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

/// Conversations that do not fit, on the demo model.
struct ContextPolicyTests {
  static let context = 128

  private func engine(_ policy: ContextPolicy) throws -> Engine {
    try Engine(
      model: TestPaths.package + "/Models/demo/base.gguf",
      options: EngineOptions(
        threads: 1, contextLength: Self.context, maximumSequences: 1, maximumStepRows: 64, contextPolicy: policy))
  }

  private let system = Message.system("Answer in one word.")
  private func turn(_ number: Int, _ words: Int = 12) -> [Message] {
    [
      .user("Question \(number): " + [String](repeating: "why", count: words).joined(separator: " ")),
      .assistant("Answer \(number)."),
    ]
  }

  private func request(_ messages: [Message], tokens: Int = 16) -> GenerationRequest {
    GenerationRequest(.messages(messages), sampling: .greedy, maximumTokens: tokens, ignoresEndTokens: true)
  }

  private func count(_ messages: [Message], _ engine: Engine) throws -> Int {
    // What a prompt of these messages counts, as a result tells it.
    try engine.generate(request(messages, tokens: 1)).promptTokenCount
  }

  @Test func dropsWholeTurnsAndKeepsTheSystemPrompt() throws {
    let engine = try engine(.dropOldest)
    let last = Message.user("And now?")
    let messages = [system] + (0..<9).flatMap { turn($0) } + [last]
    let dropped = try engine.messagesToDrop(messages, maximumTokens: 16)
    #expect(dropped > 0 && dropped % 2 == 0, "a turn is a question with its answer")
    let kept = [system] + messages[(1 + dropped)...]
    #expect(try count(kept, engine) + 16 <= Self.context)
    // One turn more would not have left room.
    let more = [system] + messages[(1 + dropped - 2)...]
    #expect(try engine.messagesToDrop(more, maximumTokens: 16) == 2)

    // The request itself does the same: the answer is that of the shorter conversation.
    let long = try engine.generate(request(messages))
    let short = try engine.generate(request(kept))
    #expect(long.droppedMessageCount == dropped && short.droppedMessageCount == 0)
    #expect(long.tokens == short.tokens && long.promptTokenCount == short.promptTokenCount)
    #expect(!long.isContextFull && long.finishReason == .length)
  }

  @Test func neverSplitsATurnNorDropsTheLast() throws {
    let engine = try engine(.dropOldest)
    let turns: [Message] = [.user("one"), .assistant("first"), .assistant("second"), .user("two")]
    #expect(try engine.messagesToDrop(turns, maximumTokens: 16) == 0)
    // Too long even alone: nothing is left out in silence, the request is refused.
    let huge = turn(1) + turn(2, 200).prefix(1)
    #expect(try engine.messagesToDrop(huge, maximumTokens: 16) == 2)
    let error = #expect(throws: EngineError.self) { try engine.generate(request(Array(huge))) }
    #expect(error?.status == .invalidArgument && error?.message.contains("context of 128") == true)
    // The last turn fits, but leaves less than the reserve: it is answered as far as the context goes.
    var words = 1
    while try count(Array(turn(1, words).prefix(1)), engine) <= Self.context - 16 { words += 5 }
    let tight = try engine.generate(request(turn(0) + turn(1, words).prefix(1)))
    #expect(tight.droppedMessageCount == 2 && tight.isContextFull && tight.finishReason == .length)
    #expect(tight.promptTokenCount + tight.tokens.count == Self.context)
  }

  @Test func stopRefusesAndStops() throws {
    let engine = try engine(.stop)
    let messages = [system] + (0..<9).flatMap { turn($0) } + [.user("And now?")]
    #expect(try engine.messagesToDrop(messages, maximumTokens: 16) == 0)
    let error = #expect(throws: EngineError.self) { try engine.generate(request(messages)) }
    #expect(error?.status == .invalidArgument && error?.message.contains("begin a new conversation") == true)
    #expect(engine.sequenceCount == 0)
    let full = try engine.generate(request([system, .user("Go on.")], tokens: 1000))
    #expect(full.finishReason == .length && full.isContextFull)
    #expect(full.promptTokenCount + full.tokens.count == Self.context)
  }
}
