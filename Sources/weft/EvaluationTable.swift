// SPDX-License-Identifier: Apache-2.0

import Foundation
import WeftEngine

/// Right answers per expert and way of answering.
struct EvaluationTable {
  enum Way: String, CaseIterable {
    case base = "base"
    case expert = "right expert"
    case router = "router"
    case mixture = "mixture of all"
    case given = "given"

    /// Who answers questions of `expert`; nil where that way does not exist for them.
    /// - Parameters:
    ///   - experts: all adapters, with the weight that each answers with alone.
    ///   - routed: what the router does.
    ///   - given: a mixture in which `{}` stands for the expert.
    func activation(
      expert: String, of experts: [WeightedAdapter], _ routed: Activation, given: String, _ engine: Engine
    ) throws -> Activation? {
      switch self {
      case .given:
        try Session.activation(of: AdapterMixture(parsing: given.replacingOccurrences(of: "{}", with: expert)), engine)
      case .base: .base
      case .expert: experts.first { $0.name == expert }.map { .mixture([$0]) }
      case .router: routed
      case .mixture:
        experts.isEmpty
          ? nil : .mixture(.init(experts.map { WeightedAdapter($0.name, weight: $0.weight / Float(experts.count)) }))
      }
    }
  }

  let ways: [Way]
  /// Whether the loss stands behind every share: nats per token of the expected answers.
  var showsLoss = false
  var rows: [(name: String, count: Int, results: [Way: Evaluation])] = []

  init(hasRouter: Bool) { ways = Way.allCases.filter { $0 != .given && (hasRouter || $0 != .router) } }

  init(ways: [Way]) { self.ways = ways }

  /// Wide enough for every name that will come.
  private func nameWidth(_ paths: [String]) -> Int {
    paths.map { URL(fileURLWithPath: $0).deletingPathExtension().lastPathComponent.count }.max() ?? 0
  }

  /// Room for `100.0 %` and the heading.
  private func width(of way: Way) -> Int { max(showsLoss ? 14 : 7, way.rawValue.count) + 2 }

  func heading(_ paths: [String]) -> String {
    let cells = ways.map { Readable.padded($0.rawValue, width(of: $0), right: true) }.joined()
    return Terminal.styled(Readable.padded("", max(8, nameWidth(paths))) + "  questions" + cells, .dim)
  }

  func line(of index: Int, _ paths: [String]) -> String { text(rows[index], paths) }

  /// All rows together; a way counts only where every row has it.
  func total(_ paths: [String]) -> String {
    var results: [Way: Evaluation] = [:]
    for way in ways {
      let parts = rows.compactMap { $0.results[way] }
      guard parts.count == rows.count, var all = parts.first else { continue }
      for part in parts.dropFirst() { all.add(part) }
      results[way] = all
    }
    return text(("together", rows.reduce(0) { $0 + $1.count }, results), paths)
  }

  private func text(_ row: (name: String, count: Int, results: [Way: Evaluation]), _ paths: [String]) -> String {
    let cells = ways.map { way in
      let cell = row.results[way].map { result in
        Readable.percent(result.accuracy, digits: 1) + (showsLoss ? " " + Readable.decimal(result.loss, digits: 3) : "")
      }
      return Readable.padded(cell ?? "-", width(of: way), right: true)
    }
    return Readable.padded(row.name, max(8, nameWidth(paths))) + Readable.padded("\(row.count)", 11, right: true)
      + cells.joined()
  }
}

extension Evaluation {
  /// Takes in the questions of another; losses count by their tokens.
  fileprivate mutating func add(_ other: Evaluation) {
    let (own, others) = (Double(tokenCount), Double(other.tokenCount))
    let tokens = max(own + others, 1)
    loss = (loss * own + other.loss * others) / tokens
    entropy = (entropy * own + other.entropy * others) / tokens
    tokenCount += other.tokenCount
    rightCount += other.rightCount
    questionCount += other.questionCount
  }
}
