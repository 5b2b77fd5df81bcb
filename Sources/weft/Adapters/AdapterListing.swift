// SPDX-License-Identifier: Apache-2.0

import WeftEngine

/// An adapter on its base, in words.
struct AdapterListing {
  private let report: AdapterReport

  init(_ report: AdapterReport) { self.report = report }

  var lines: [String] {
    var facts: [(String, String)] = [
      ("family", report.family), ("operators", report.operators.joined(separator: ", ")),
    ]
    if let ranks = report.ranks {
      facts.append(
        ("rank", ranks.lowerBound == ranks.upperBound ? "\(ranks.lowerBound)" : "\(ranks.lowerBound) to \(ranks.upperBound)"))
    }
    if !report.targets.isEmpty {
      facts.append(
        (
          "targets",
          report.targets.map { $0.name == "lm_head" ? $0.name : "\($0.name) (\($0.layerCount))" }.joined(separator: ", ")
        ))
    }
    if let base = report.baseModel { facts.append(("trained on", base)) }
    facts.append(
      ("size", "\(Readable.bytes(report.storedBytes)) as stored, \(Readable.bytes(report.residentBytes)) resident"))
    for (name, rule) in report.mixing { facts.append(("mixing", "\(name): \(rule)")) }
    facts.append(("fusing", report.unfusable.map { "not \($0)" } ?? "into float weights"))
    let width = (facts.map(\.0.count).max() ?? 0) + 2
    return facts.map { "  " + Readable.padded($0.0, width) + $0.1 } + normLines
  }

  /// |change of W| by layer and module.
  private var normLines: [String] {
    guard !report.norms.isEmpty else { return [] }
    let rows = report.norms.map { layer in
      "  " + Readable.padded(layer.layer.map { "layer \($0)" } ?? "outside", 10)
        + layer.modules.map { "\($0.name) \(Readable.decimal($0.norm, digits: 3))" }.joined(separator: "  ")
    }
    return ["  norm of the change, by layer:"] + rows
  }
}
