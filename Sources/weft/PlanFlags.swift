// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// `--plan`: how the adapters that answer are run.
enum PlanChoice: String, ExpressibleByArgument, CaseIterable {
  case auto, side, composite, fuse

  /// The ways to choose from.
  var ways: Set<ExecutionPlan.Way> {
    switch self {
    case .auto: Set(ExecutionPlan.Way.allCases)
    case .side: [.side]
    case .composite: [.composite]
    case .fuse: [.fuse]
    }
  }
}

/// The options of commands that plan how adapters run.
struct PlanFlags: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Run the adapters beside the base (side), made into one (composite), worked into the weights of a float base (fuse), or the "
        + "way that takes least (auto).", valueName: "way"))
  var plan: PlanChoice = .side

  @Flag(help: "Print what each way would take.")
  var explain = false
}

extension Session {
  /// Chooses a way to run the mixture that answers, and prepares it.
  /// - Parameters:
  ///   - promptTokens: of the prompt, where it is known.
  ///   - expectedTokens: tokens that will be generated.
  ///   - isOpen: whether other adapters may be asked for later: then nothing is fused.
  mutating func plan(_ flags: PlanFlags, promptTokens: Int, expectedTokens: Int, isOpen: Bool) throws {
    guard flags.plan != .side || flags.explain else { return }
    guard case .mixture(let mixture) = activation else {
      throw ValidationError(
        "\(flags.explain ? "--explain" : "--plan"): expected adapters that are named (--adapter, --mixture), found none, or a router "
          + "that chooses")
    }
    var ways = flags.plan.ways
    if isOpen {
      guard flags.plan != .fuse else {
        throw ValidationError("--plan fuse: expected one request, found a conversation that may ask for other adapters")
      }
      ways.remove(.fuse)
    }
    if flags.explain {
      // All ways are shown, whichever may be taken.
      let every = try engine.plan(for: mixture, expectedTokens: expectedTokens, promptTokens: promptTokens)
      Terminal.note("\(every)")
    }
    let plan = try engine.plan(
      for: mixture, expectedTokens: expectedTokens, promptTokens: promptTokens, ways: ways)
    if flags.explain { Terminal.note("taken: \(plan.way.rawValue)") }
    activation = try Session.activation(of: engine.apply(plan), engine)
  }
}
