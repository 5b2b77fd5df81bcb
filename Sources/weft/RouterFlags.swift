// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// The options of all commands in which a router may choose adapters.
struct RouterFlags: ParsableArguments {
  @Option(help: ArgumentHelp("Let this router choose the adapters.", valueName: "file"))
  var router: String?

  @Option(
    name: .customLong("shared"),
    help: ArgumentHelp(
      "Beside whatever the router chooses this loaded adapter acts, as what the experts of twin_merging share; repeatable.",
      valueName: "name[:weight]"))
  var shared: [AdapterArgument] = []

  @Flag(help: "Let the router choose again after every sentence of an answer.")
  var perSentence = false

  /// Loads the router, or the demo's.
  func load(into engine: Engine, _ demo: DemoModel?) throws {
    if let file = router ?? demo?.router {
      try engine.loadRouter(from: file, beside: shared.map(\.weighted))
    } else {
      try refuseWithoutChoice()
    }
  }

  /// What the router does with a request.
  var activation: Activation { perSentence ? .routedPerSentence : .routed }

  /// Refuses options that say how a router chooses, where none does.
  func refuseWithoutChoice() throws {
    guard shared.isEmpty, !perSentence else {
      throw ValidationError("\(perSentence ? "--per-sentence" : "--shared"): expected a router that chooses, found none")
    }
  }
}
