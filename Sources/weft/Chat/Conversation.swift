// SPDX-License-Identifier: Apache-2.0

import WeftEngine

/// What was said so far, and the settings for what comes next.
struct Conversation {
  private(set) var session: Session
  private var sampling: SamplingOptions
  /// What every answer has to be.
  private let grammar: OutputGrammar?
  private var maximumTokens: Int
  private var system: String?
  private var messages: [Message] = []
  /// Who answers while the router is off.
  private var chosen: Activation
  private var totals = Totals()

  private struct Totals {
    var answers = 0
    var promptTokens = 0
    var reusedTokens = 0
    var answerTokens = 0
    var prefillSeconds = 0.0
    var decodeSeconds = 0.0
  }

  init(session: Session, generation: GenerationFlags, sampling: SamplingOptions, grammar: OutputGrammar?) {
    self.session = session
    self.sampling = sampling
    self.grammar = grammar
    maximumTokens = generation.maxTokens
    system = generation.system
    chosen = session.activation.isRouted ? .base : session.activation
  }

  /// What runs here, where somebody sees it.
  func greet() {
    guard Terminal.Stream.input.isTerminal, Terminal.Stream.output.isTerminal else { return }
    let model = session.engine.model
    let name = model.name.isEmpty ? model.path : model.name
    print(
      Terminal.styled(name, .bold)
        + Terminal.styled(
          " · \(Readable.scaled(model.parameterCount)) parameters · \(model.isa) · \(Readable.count(model.threads, "thread"))",
          .dim))
    let experts = session.engine.adapters.map(\.name)
    if !experts.isEmpty { print(Terminal.styled("adapters: \(experts.joined(separator: ", ")) · \(whoAnswers)", .dim)) }
    print(Terminal.styled("/help lists commands; Ctrl-C stops an answer, Ctrl-D ends.", .dim))
  }

  private var whoAnswers: String {
    switch session.activation {
    case .base: "the base answers alone"
    case .mixture(let mixture): "\(mixture.readable) \(mixture.adapters.count == 1 ? "answers" : "answer together")"
    case .routed: "the router chooses"
    case .routedPerSentence: "the router chooses, for every sentence"
    }
  }

  /// Takes a line: a command or a message. False when the conversation is over.
  mutating func take(_ line: String) -> Bool {
    do throws(EngineError) {
      guard line.hasPrefix("/") else {
        try answer(line)
        return true
      }
      return try perform(try ChatCommand(line))
    } catch {
      Terminal.report(error: error.message)
      return true
    }
  }

  // MARK: Messages

  private mutating func answer(_ text: String) throws(EngineError) {
    messages.append(.user(text))
    do throws(EngineError) {
      try forgetWhatDoesNotFit()
      let request = GenerationRequest(
        .messages(prompt), activation: session.activation, sampling: sampling, grammar: grammar,
        maximumTokens: maximumTokens)
      let result = try Terminal.withoutEcho { () throws(EngineError) in try session.answer(request) { Terminal.write($0) } }
      print(result.text.hasSuffix("\n") ? "" : "\n", terminator: "")
      show(Session.summary(of: result))
      remember(result)
    } catch {
      messages.removeLast()
      throw error
    }
  }

  private var prompt: [Message] { (system.map { [Message.system($0)] } ?? []) + messages }

  private mutating func remember(_ result: GenerationResult) {
    if result.text.isEmpty { messages.removeLast() } else { messages.append(.assistant(result.text)) }
    totals.answers += 1
    totals.promptTokens += result.promptTokenCount
    totals.reusedTokens += result.reusedTokenCount
    totals.answerTokens += result.tokens.count
    totals.prefillSeconds += result.prefillSeconds
    totals.decodeSeconds += result.decodeSeconds
  }

  /// Drops the oldest turns until the conversation leaves room for an answer, when that is the engine's policy.
  private mutating func forgetWhatDoesNotFit() throws(EngineError) {
    let count = try session.engine.messagesToDrop(
      prompt, maximumTokens: maximumTokens, activation: session.activation)
    guard count > 0 else { return }
    messages.removeFirst(count)
    let limit = session.engine.model.contextLength
    show("forgot the oldest \(Readable.count(count, "message")): the context holds \(limit) tokens")
  }

  /// A line about the conversation rather than of it: on standard error when the answers go to a file.
  private func show(_ text: String) {
    if Terminal.Stream.output.isTerminal { print(Terminal.styled(text, .dim)) } else { Terminal.note(text) }
  }

  // MARK: Commands

  private mutating func perform(_ command: ChatCommand) throws(EngineError) -> Bool {
    switch command {
    case .help: print(ChatCommand.list)
    case .bye: return false
    case .reset:
      messages = []
      show("the conversation begins anew")
    case .listAdapters: listAdapters()
    case .adapters(let adapters):
      chosen = try Session.activation(of: adapters, session.engine)
      session.activation = chosen
      show(whoAnswers)
    case .router(let routed):
      guard routed == nil || session.engine.routerSummary != nil else {
        throw EngineError(.notFound, "router: none is loaded; begin with --router FILE")
      }
      session.activation = routed ?? chosen
      show(whoAnswers)
    case .showSettings: print(settings)
    case .set(let key, let value):
      try set(key, value)
      show("\(key.rawValue) = \(self.value(of: key))")
    case .stats: showStatistics()
    }
    return true
  }

  private func listAdapters() {
    var weights: [String: Float] = [:]
    if case .mixture(let mixture) = session.activation {
      for adapter in mixture.adapters { weights[adapter.name] = adapter.weight }
    }
    let adapters = session.engine.adapters
    let width = adapters.map(\.name.count).max() ?? 0
    for adapter in adapters {
      let rank = adapter.ranks.map { ranks in
        ", rank \(ranks.lowerBound)" + (ranks.count == 1 ? "" : "-\(ranks.upperBound)")
      }
      let active = weights[adapter.name].map { $0 == 1 ? "  active" : "  active, weight \($0)" } ?? ""
      print(
        "  " + Readable.padded(adapter.name, width)
          + Terminal.styled("  \(adapter.family)\(rank ?? ""), \(Readable.bytes(adapter.byteCount))", .dim) + active)
    }
    show(adapters.isEmpty ? "no adapter is loaded; begin with --adapter NAME=PATH" : whoAnswers)
  }

  // MARK: Settings

  private var settings: String {
    ChatSetting.allCases.map { "  \(Readable.padded($0.rawValue, 19))\(value(of: $0))" }.joined(separator: "\n")
  }

  private func value(of key: ChatSetting) -> String {
    switch key {
    case .temperature: "\(sampling.temperature)"
    case .topK: "\(sampling.topK)"
    case .topP: "\(sampling.topP)"
    case .minP: "\(sampling.minP)"
    case .typical: "\(sampling.typicalP)"
    case .repeatPenalty: "\(sampling.repetitionPenalty)"
    case .frequencyPenalty: "\(sampling.frequencyPenalty)"
    case .presencePenalty: "\(sampling.presencePenalty)"
    case .seed: sampling.seed.map { "\($0)" } ?? "random"
    case .maxTokens: "\(maximumTokens)"
    case .system: system ?? "none"
    }
  }

  private mutating func set(_ key: ChatSetting, _ text: String) throws(EngineError) {
    var changed = sampling
    switch key {
    case .temperature: changed.temperature = try number(key, text)
    case .topK: changed.topK = try number(key, text)
    case .topP: changed.topP = try number(key, text)
    case .minP: changed.minP = try number(key, text)
    case .typical: changed.typicalP = try number(key, text)
    case .repeatPenalty: changed.repetitionPenalty = try number(key, text)
    case .frequencyPenalty: changed.frequencyPenalty = try number(key, text)
    case .presencePenalty: changed.presencePenalty = try number(key, text)
    case .seed: changed.seed = text == "random" ? nil : try number(key, text)
    case .maxTokens:
      let count: Int = try number(key, text)
      guard count >= 1 else { throw EngineError(.invalidArgument, "max-tokens: expected 1 or more, found \(count)") }
      maximumTokens = count
    case .system: system = text == "none" ? nil : text
    }
    sampling = try changed.validated()
  }

  private func number<Number: LosslessStringConvertible>(_ key: ChatSetting, _ text: String) throws(EngineError) -> Number {
    guard let number = Number(text) else {
      throw EngineError(.invalidArgument, "\(key.rawValue): expected a number, found '\(text)'")
    }
    return number
  }

  // MARK: Statistics

  /// What the process has, beside what was planned.
  private var memory: String {
    let planned = "\(Readable.bytes(session.engine.memoryPlan.byteCount)) planned"
    return MemoryPlan.residentBytes.map { "\(Readable.bytes($0)), \(planned)" } ?? planned
  }

  private func showStatistics() {
    let model = session.engine.model
    let speed = totals.decodeSeconds > 0 ? Double(totals.answerTokens - totals.answers) / totals.decodeSeconds : 0
    let adapterBytes = session.engine.adapters.reduce(0) { $0 + $1.byteCount }
    let rows = [
      ("answers", "\(totals.answers)"),
      (
        "prompt tokens",
        "\(totals.promptTokens) in \(Readable.seconds(totals.prefillSeconds)), \(totals.reusedTokens) of them from before"
      ),
      ("answer tokens", "\(totals.answerTokens) in \(Readable.seconds(totals.decodeSeconds))"),
      ("speed", "\(Readable.decimal(max(0, speed), digits: 0)) tokens/s"),
      ("messages", "\(messages.count) of this conversation"),
      ("context", "\(model.contextLength) tokens"),
      ("weights", Readable.bytes(model.weightBytes)),
      ("adapters", "\(Readable.count(session.engine.adapters.count, "adapter")), \(Readable.bytes(adapterBytes))"),
      ("KV cache", Readable.bytes(model.kvBytes)),
      ("memory", memory),
    ]
    for (name, value) in rows { print("  " + Readable.padded(name, 16) + value) }
  }
}

extension Activation {
  var isRouted: Bool {
    switch self {
    case .routed, .routedPerSentence: true
    case .base, .mixture: false
    }
  }
}
