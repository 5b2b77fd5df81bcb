// SPDX-License-Identifier: Apache-2.0

/// How often each class was taken for which.
package struct ConfusionTable: Sendable, Equatable {
  package let names: [String]
  /// `counts[actual][predicted]`.
  package private(set) var counts: [[Int]]

  /// An empty table.
  package init(names: [String]) {
    self.names = names
    counts = Array(repeating: Array(repeating: 0, count: names.count), count: names.count)
  }

  /// Counts one example.
  package mutating func record(actual: Int, predicted: Int) { counts[actual][predicted] += 1 }

  /// All examples that were counted.
  package var total: Int { counts.reduce(0) { $0 + $1.reduce(0, +) } }

  /// The share of examples whose class was found; nil without examples.
  package var accuracy: Double? {
    total == 0 ? nil : Double(counts.indices.reduce(0) { $0 + counts[$1][$1] }) / Double(total)
  }

  /// The share of one class's examples whose class was found; nil without examples.
  package func accuracy(of actual: Int) -> Double? {
    let total = counts[actual].reduce(0, +)
    return total == 0 ? nil : Double(counts[actual][actual]) / Double(total)
  }
}

extension Router {
  /// The most probable class of every example against its label, an index into `adapters`.
  package func confusion(on examples: [(features: [Float], label: Int)]) -> ConfusionTable {
    var table = ConfusionTable(names: adapters)
    for example in examples {
      table.record(actual: example.label, predicted: largestIndex(probabilities(features: example.features)))
    }
    return table
  }
}
