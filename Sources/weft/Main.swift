// SPDX-License-Identifier: Apache-2.0
import ArgumentParser

@main struct Weft: ParsableCommand {
  static let configuration = CommandConfiguration(commandName: "weft", subcommands: [Bench.self])
}
