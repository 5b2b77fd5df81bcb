// SPDX-License-Identifier: Apache-2.0

import WeftEngine

/// A line of a conversation that begins with a slash.
enum ChatCommand {
  case help
  case bye
  case reset
  case stats
  case listAdapters
  /// These answer from now on; none of them means the base alone.
  case adapters(AdapterMixture)
  /// How the router chooses; nil: it does not.
  case router(Activation?)
  case showSettings
  case set(ChatSetting, String)

  static let list = """
      /adapter list               the loaded adapters
      /adapter NAME[:WEIGHT] ...  these answer, as a mixture when there are several
      /adapter MIXTURE            the same as text: chef@0-7:0.5,poet or lang>task
      /adapter none               the base answers alone
      /adapter auto               the router chooses
      /router on|off              the router chooses, or who was named last
      /router sentence            the router chooses again after every sentence
      /set                        the settings
      /set KEY VALUE              change one: \(ChatSetting.allCases.map(\.rawValue).joined(separator: ", "))
      /reset                      forget the conversation
      /stats                      tokens, speed, memory
      /help                       this list
      /bye                        the end
    """

  init(_ line: String) throws(EngineError) {
    let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
    let arguments = Array(words.dropFirst())
    func refuse(_ expected: String) -> EngineError {
      EngineError(.invalidArgument, "expected \(expected), found '\(line)'")
    }
    switch words.first ?? "" {
    case "/help" where arguments.isEmpty: self = .help
    case "/bye" where arguments.isEmpty: self = .bye
    case "/reset" where arguments.isEmpty: self = .reset
    case "/stats" where arguments.isEmpty: self = .stats
    case "/adapter":
      switch arguments {
      case []: throw refuse("/adapter list, none, auto or NAME[:WEIGHT] ...")
      case ["list"]: self = .listAdapters
      case ["none"]: self = .adapters([])
      case ["auto"]: self = .router(.routed)
      default:
        let text = arguments.reduce("") { text, word in
          text + (text.isEmpty || text.hasSuffix(">") || word.hasPrefix(">") ? "" : ",") + word
        }
        self = .adapters(try AdapterMixture(parsing: text))
      }
    case "/router":
      switch arguments {
      case ["on"]: self = .router(.routed)
      case ["sentence"]: self = .router(.routedPerSentence)
      case ["off"]: self = .router(nil)
      default: throw refuse("/router on, off or sentence")
      }
    case "/set":
      guard let name = arguments.first else {
        self = .showSettings
        return
      }
      guard let key = ChatSetting(rawValue: name) else {
        throw refuse("a setting: \(ChatSetting.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      guard arguments.count >= 2, key == .system || arguments.count == 2 else { throw refuse("/set \(name) VALUE") }
      self = .set(key, arguments.dropFirst().joined(separator: " "))
    default: throw refuse("a command that /help lists")
    }
  }
}

/// What `/set` can change; the options of the command line have the same names.
enum ChatSetting: String, CaseIterable {
  case temperature
  case topK = "top-k"
  case topP = "top-p"
  case minP = "min-p"
  case typical
  case repeatPenalty = "repeat-penalty"
  case frequencyPenalty = "frequency-penalty"
  case presencePenalty = "presence-penalty"
  case seed
  case maxTokens = "max-tokens"
  case system
}
