// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine

/// `weft run`: one prompt, one answer.
struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Answer one prompt.",
    discussion: """
      The prompt is the argument, or standard input when there is none. The answer goes to standard output as it is made; who \
      answered, and how fast, to standard error when that is a terminal.

        weft run "Write 1994 as a Roman numeral."
        echo "Sort: d b a c" | weft run --adapter sort
        weft run --model story.gguf --no-template --temperature 0 "Once upon a time"
        weft run --json "Spell out 912." | jq .mixture
        weft run --json-schema '{"type": "object", "properties": {"age": {"type": "integer"}}}' "How old are you?"
        weft run --grammar 'root ::= "yes" | "no"' --logprobs 3 "Is 7 prime?"
      """)

  @Argument(help: "The prompt.")
  var prompt: String?

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @OptionGroup(title: "Adapters")
  var adapters: AdapterFlags

  @OptionGroup(title: "Router")
  var router: RouterFlags

  @OptionGroup(title: "Generation")
  var generation: GenerationFlags

  @OptionGroup(title: "Planning")
  var planning: PlanFlags

  @OptionGroup(title: "Sampling")
  var sampling: SamplingFlags

  @OptionGroup(title: "Form of the answer")
  var form: GrammarFlags

  @Option(
    help: ArgumentHelp(
      "Print the log-probability of every token, and of so many of the likeliest ones beside it.", valueName: "count"))
  var logprobs: Int?

  @Flag(help: "Continue the prompt as raw text. Models without a chat template always do.")
  var noTemplate = false

  @Flag(help: "Print one line of JSON instead: text, finish reason, token counts, mixture, timings.")
  var json = false

  func run() throws {
    let text = try prompt ?? readInput()
    guard !text.isEmpty else { throw EngineError(.invalidArgument, "prompt: expected text, found none") }
    var session = try Session(model, adapters, router, EngineOptions(maximumSequences: 1))
    let isRaw = noTemplate || !session.engine.model.hasChatTemplate
    if isRaw, generation.system != nil {
      throw EngineError(.invalidArgument, "--system: expected a chat template to put it into, found raw text")
    }
    let messages = (generation.system.map { [Message.system($0)] } ?? []) + [.user(text)]
    let content: GenerationRequest.Prompt = isRaw ? .text(text) : .messages(messages)
    try session.plan(
      planning, promptTokens: session.engine.promptTokens(content).count, expectedTokens: generation.maxTokens, isOpen: false)
    let request = GenerationRequest(
      content, activation: session.activation,
      sampling: sampling.options(temperature: session.standardTemperature), grammar: try form.outputGrammar(),
      logProbabilities: logprobs, maximumTokens: generation.maxTokens)
    Interrupt.catchSignal()
    let result = try Terminal.withoutEcho { [session] () throws(EngineError) in
      try session.answer(request) { if !json { Terminal.write($0) } }
    }
    if json {
      print(try RunReport(result, session.engine).line())
    } else {
      Terminal.write(result.text.hasSuffix("\n") ? "" : "\n")
      if logprobs != nil { LogProbabilityTable.print(result, session.engine) }
      if Terminal.Stream.error.isTerminal {
        let fused = session.engine.fusedAdapters
        Terminal.note(Session.summary(of: result) + (fused.isEmpty ? "" : " · fused: \(AdapterMixture(fused).readable)"))
      }
    }
    if result.finishReason == .cancelled { throw ExitCode(130) }
  }

  private func readInput() throws -> String {
    if Terminal.Stream.input.isTerminal { Terminal.note("the prompt, then Ctrl-D:") }
    guard let text = String(data: FileHandle.standardInput.readDataToEndOfFile(), encoding: .utf8) else {
      throw EngineError(.invalidArgument, "standard input: expected UTF-8 text")
    }
    // The newline at the end is the shell's, not the user's.
    return text.hasSuffix("\n") ? String(text.dropLast()) : text
  }
}

/// What `weft run --json` prints.
struct RunReport: Encodable {
  struct Part: Encodable {
    let adapter: String
    let weight: Float
  }

  /// How likely the model found a token.
  struct Token: Encodable {
    let id: Int32
    /// Its text, with U+FFFD for parts of characters.
    let token: String
    let logprob: Float

    init(_ token: TokenLogProbability, _ engine: Engine) {
      id = token.id
      self.token = String(decoding: engine.bytes(of: token.id), as: UTF8.self)
      logprob = token.logProbability
    }
  }

  /// A token of the answer, and the likeliest ones in its place.
  struct ChosenToken: Encodable {
    let chosen: Token
    let top: [Token]
  }

  struct Timings: Encodable {
    let prefillSeconds: Double
    let decodeSeconds: Double
    let tokensPerSecond: Double
  }

  let text: String
  let finishReason: String
  let promptTokens: Int
  /// Of them, those whose keys and values an earlier request had computed.
  let reusedTokens: Int
  let completionTokens: Int
  /// Who answered; empty for the base alone.
  let mixture: [Part]
  let timings: Timings
  /// For each token, when asked for.
  let logprobs: [ChosenToken]?

  init(_ result: GenerationResult, _ engine: Engine) {
    text = result.text
    finishReason = result.finishReason.rawValue
    promptTokens = result.promptTokenCount
    reusedTokens = result.reusedTokenCount
    completionTokens = result.tokens.count
    mixture = (result.mixtures.last?.adapters ?? []).map { Part(adapter: $0.name, weight: $0.weight) }
    timings = Timings(
      prefillSeconds: result.prefillSeconds, decodeSeconds: result.decodeSeconds, tokensPerSecond: result.tokensPerSecond)
    let tokens = result.logProbabilities.map { entry in
      ChosenToken(chosen: Token(entry.chosen, engine), top: entry.top.map { Token($0, engine) })
    }
    logprobs = tokens.isEmpty ? nil : tokens
  }

  /// Keys are sorted, so that the same result is the same line.
  func line() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    // A model may find a token impossible; JSON has no number for that.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return String(decoding: try encoder.encode(self), as: UTF8.self)
  }
}
