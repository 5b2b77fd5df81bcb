// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// `weft chat`: a conversation on the terminal.
struct Chat: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Talk with a model.",
    discussion: """
      Without --model, the demo model answers, and its router chooses among its experts. /help lists what can be changed while \
      talking; Ctrl-C stops an answer, Ctrl-D or /bye ends the conversation.

        weft chat
        weft chat --model model.gguf --adapter chef=adapters/chef --system "Answer briefly."
        printf 'Spell out 912.\\n' | weft chat
      """)

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @OptionGroup(title: "Adapters")
  var adapters: AdapterFlags

  @OptionGroup(title: "Router")
  var router: RouterFlags

  @Option(
    help: ArgumentHelp(
      "When the conversation no longer fits: 'stop', or 'drop-oldest' to forget its oldest turns and keep the system prompt.",
      valueName: "policy"))
  var contextPolicy = ContextPolicy.dropOldest

  @OptionGroup(title: "Generation")
  var generation: GenerationFlags

  @OptionGroup(title: "Planning")
  var planning: PlanFlags

  @OptionGroup(title: "Sampling")
  var sampling: SamplingFlags

  @OptionGroup(title: "Form of the answers")
  var form: GrammarFlags

  func run() throws {
    var session = try Session(model, adapters, router, EngineOptions(maximumSequences: 1, contextPolicy: contextPolicy))
    // A conversation is several answers.
    try session.plan(planning, promptTokens: 0, expectedTokens: 8 * generation.maxTokens, isOpen: true)
    guard session.engine.model.hasChatTemplate else {
      throw EngineError(
        .unsupported, "\(session.engine.model.path): expected a chat template, found none; 'weft run' continues raw text")
    }
    Interrupt.catchSignal()
    var conversation = Conversation(
      session: session, generation: generation, sampling: sampling.options(temperature: session.standardTemperature),
      grammar: try form.outputGrammar())
    let editor = LineEditor()
    conversation.greet()
    while true {
      switch editor.read(prompt: ">>> ") {
      case .end: return
      case .interrupted: Terminal.note("Ctrl-D or /bye ends the conversation.")
      case .text(let line):
        let text = line.trimmingBlanks
        guard !text.isEmpty else { continue }
        editor.remember(text)
        guard conversation.take(text) else { return }
      }
    }
  }
}

extension String {
  /// Without blanks and newlines around it.
  var trimmingBlanks: String {
    guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace }) else {
      return ""
    }
    return String(self[first...last])
  }
}
