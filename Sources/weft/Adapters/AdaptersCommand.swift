// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine

/// `weft adapters`: which there are, and which fit.
struct AdaptersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "adapters",
    abstract: "List the kinds of adapters that Weft reads, and check whether an adapter fits a model.",
    discussion: """
        weft adapters families
        weft adapters check --model model.gguf adapters/chef
      """,
    subcommands: [AdapterFamilies.self, AdapterCheck.self])
}

/// `weft adapters families`: the registry, a row per family.
struct AdapterFamilies: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "families", abstract: "List every kind of adapter that Weft reads.",
    discussion: """
      For each: the operators that it becomes, what its weight in a mixture means (sum: weighted sums with others; scale: \
      factors, multiplied or averaged; exclusive: one for each place, with weight 1), whether it can be fused, and by what its \
      files are known.
      """)

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    let families = AdapterFamilySummary.all
    if json { return print(try AdapterFamilies.document(families)) }
    let width = families.map(\.name.count).max() ?? 0
    let operatorWidth = families.map { AdapterFamilies.operators($0).count }.max() ?? 0
    for family in families {
      print(
        Terminal.styled(Readable.padded(family.name, width), .bold) + "  "
          + Readable.padded(AdapterFamilies.operators(family), operatorWidth) + "  "
          + Readable.padded(family.mixing, 9) + "  " + (family.isFusable ? "fuses   " : "beside  ")
          + Terminal.styled(family.files, .dim))
    }
  }

  private static func operators(_ family: AdapterFamilySummary) -> String {
    family.operators.isEmpty ? "refused, with the reason" : family.operators.joined(separator: ", ")
  }

  private static func document(_ families: [AdapterFamilySummary]) throws -> String {
    let rows: [[String: Any]] = families.map { family in
      [
        "name": family.name, "files": family.files, "operators": family.operators, "mixing": family.mixing,
        "fusable": family.isFusable, "source": family.source, "options": family.options,
      ]
    }
    let data = try JSONSerialization.data(
      withJSONObject: rows, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    return String(decoding: data, as: UTF8.self)
  }
}

/// `weft adapters check`: whether an adapter fits a model, and what it does there.
struct AdapterCheck: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Say whether an adapter fits a model, and what it does there.",
    discussion: """
      Everything that loading would check is checked: exit code 0 when it fits, and otherwise the error and exit code that \
      loading would have.

        weft adapters check --model model.gguf adapters/chef
        weft adapters check --model model.gguf --adapter-option layers=10-20 control.gguf
      """)

  @Option(
    name: [.long, .customShort("m")],
    help: ArgumentHelp("A GGUF file or a Hugging Face folder (default: the demo model).", valueName: "path"))
  var model: String?

  @Option(name: .customLong("adapter-option"), help: AdapterOptionArgument.help)
  var options: [AdapterOptionArgument] = []

  @Option(help: ArgumentHelp("Which one, where ADAPTER holds several.", valueName: "name"))
  var member: String?

  @Argument(help: ArgumentHelp("A folder, file or pack with an adapter.", valueName: "adapter"))
  var adapter: String

  private var name: String { member ?? "adapter" }

  func validate() throws { try options.validate(for: [name]) }

  func run() throws {
    let model = try model ?? DemoModel.find().model
    let report = try AdapterReport(adapter: adapter, model: model, options: .init(options, for: name), name: name)
    print("\(adapter): \(report.family), fits \(model)")
    for line in AdapterListing(report).lines { print(line) }
  }
}
