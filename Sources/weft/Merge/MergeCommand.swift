// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftFusion

/// `weft merge`: several adapters as one.
struct MergeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Make one adapter of several, or one model, by any method that people use.",
    discussion: """
        weft merge --method ties --density 0.5 a=adapters/a:0.7 b=adapters/b:0.4 --output merged
        weft merge --method cat a=adapters/a b=adapters/b --output merged.weft
        weft merge --method slerp --set t=0.3 a=adapters/a b=adapters/b --rank 16 --output merged
        weft merge recipe.yaml --output merged
        weft merge --method ties --density 0.5 --model base a=models/a:0.7 b=models/b:0.4 --output model
        weft merge methods
        weft merge --method regmean --statistics a=a.stats --statistics b=b.stats a=adapters/a b=adapters/b --output merged
        weft merge search --method adamerging --data prompts.jsonl a=adapters/a b=adapters/b --output merged
      """,
    subcommands: [MergeRun.self, MergeMethods.self, MergeSearch.self], defaultSubcommand: MergeRun.self)
}

/// `weft merge methods`: the registry, a row per method.
struct MergeMethods: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "methods", abstract: "List every method, its space, its parameters and where it comes from.",
    discussion: """
      Spaces: factors merges A with A and B with B, as peft does; delta merges the changes themselves and finds the best low rank \
      of the result; concat puts factors beside each other, which is the exact sum. A name that stands twice means its first row, \
      unless --space says otherwise; a recipe means the row of space delta, which is mergekit's.
      """)

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    if json { return print(try MergeMethods.document()) }
    let methods = MergeMethod.all
    let width = methods.map(\.name.count).max() ?? 0
    for method in methods {
      print(
        Terminal.styled(Readable.padded(method.name, width), .bold) + "  " + Readable.padded(method.space.rawValue, 7) + "  "
          + Terminal.styled(method.source, .dim))
      if !method.statistics.isEmpty {
        print(
          "  " + Readable.padded("", width - 2)
            + "  --statistics: \(method.statistics.map(\.rawValue).joined(separator: " or "))")
      }
      if method.readsMasks { print("  " + Readable.padded("", width - 2) + "  --masks: a file of them") }
      for parameter in method.parameters {
        print("  " + Readable.padded("", width - 2) + "  \(parameter.name): \(parameter.text)\(MergeMethods.limits(parameter))")
      }
    }
  }

  private static func limits(_ parameter: MergeParameter) -> String {
    let standard: String
    if let number = parameter.standard {
      standard = "default \(parameter.words.isEmpty ? MergeParameter.text(number) : parameter.words[Int(number)])"
    } else {
      standard = "must be given"
    }
    return " (\(parameter.rangeText); \(standard)\(parameter.isOfTask ? "; also per task" : ""))"
  }

  private static func document() throws -> String {
    let rows: [[String: Any]] = MergeMethod.all.map { method in
      let parameters: [[String: Any]] = method.parameters.map { parameter in
        var row: [String: Any] = [
          "name": parameter.name, "text": parameter.text, "perTask": parameter.isOfTask, "words": parameter.words,
          "allowed": parameter.rangeText,
        ]
        if let standard = parameter.standard { row["default"] = Double(standard.description) ?? Double(standard) }
        return row
      }
      return [
        "name": method.name, "space": method.space.rawValue, "source": method.source, "parameters": parameters,
        "needsBase": method.needsBase, "statistics": method.statistics.map(\.rawValue), "readsMasks": method.readsMasks,
        "tasks": [method.taskCount.lowerBound, method.taskCount.upperBound],
      ]
    }
    let data = try JSONSerialization.data(
      withJSONObject: rows, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    return String(decoding: data, as: UTF8.self)
  }
}
