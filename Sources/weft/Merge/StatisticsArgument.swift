// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftFusion

/// `NAME=FILE`: statistics of one of the things to be merged.
struct StatisticsArgument: ExpressibleByArgument {
  let task: String
  let path: String

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { return nil }
    (task, path) = (parts[0], parts[1])
  }

  /// Reads one file for each task, in the order of the tasks; none at all where none is given.
  static func read(_ arguments: [StatisticsArgument], for tasks: [String]) throws(MergeError) -> [MergeStatistics] {
    guard !arguments.isEmpty else { return [] }
    if let argument = arguments.first(where: { !tasks.contains($0.task) }) {
      throw .mismatch(location: "--stats", expected: "one of \(tasks.joined(separator: ", "))", found: "'\(argument.task)'")
    }
    var statistics: [MergeStatistics] = []
    for task in tasks {
      let own = arguments.filter { $0.task == task }
      guard own.count == 1 else {
        throw .mismatch(location: "--stats", expected: "one file for \(task)", found: "\(own.count)")
      }
      let read = try MergeStatistics(path: own[0].path)
      if let first = statistics.first, first.origin.base != read.origin.base {
        throw .mismatch(
          location: "\(read.location): base", expected: "\(first.origin.base), as \(first.location) has",
          found: read.origin.base)
      }
      statistics.append(read)
    }
    return statistics
  }
}
