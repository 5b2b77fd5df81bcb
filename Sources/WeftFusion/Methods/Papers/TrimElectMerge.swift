// SPDX-License-Identifier: Apache-2.0

/// TIES as its paper has it: trims every task over all of its modules together, elects a sign for every element, and merges what
/// agrees with it.
///
/// Source: https://arxiv.org/abs/2306.01708, repository 44e7891 (peft-reference.md, 2.3). The changes are read four times, a module
/// of all tasks at a time: twice for the thresholds, once for the majority of the signs, once for the result.
struct TrimElectMerge {
  enum Aggregate: Int {
    case mean, sum, max
  }

  /// The share of elements that every task keeps.
  let density: Double
  let aggregate: Aggregate

  /// Reads the changes of a module by all tasks, equally long; every call gives the same.
  typealias Changes = (_ module: Int) throws(MergeError) -> [[Float]]

  /// Gives the merged change of every module, in order.
  func run(
    modules: Range<Int>, changes: Changes, emit: (_ module: Int, _ merged: [Float]) throws(MergeError) -> Void
  ) throws(MergeError) {
    let thresholds = try thresholds(modules, changes)
    var balance = 0
    for module in modules {
      for sum in TrimElectMerge.sums(try changes(module), thresholds) where sum != 0 { balance += sum > 0 ? 1 : -1 }
    }
    for module in modules { try emit(module, merged(try changes(module), thresholds, majority: balance)) }
  }

  /// The smallest magnitude that each task keeps; 0 for all of them.
  private func thresholds(_ modules: Range<Int>, _ changes: Changes) throws(MergeError) -> [Float] {
    guard density < 1 else { return [] }
    var selections: [RadixSelection] = []
    for pass in 0..<2 {
      for module in modules {
        for (task, change) in try changes(module).enumerated() {
          if selections.count == task { selections.append(RadixSelection()) }
          selections[task].read(change.map(abs))
        }
      }
      guard pass == 0 else { break }
      for task in selections.indices {
        // The reference keeps what is not below the (d - int(density d))-th smallest: one element more than its share.
        let total = selections[task].total
        selections[task].narrow(to: [max(total - Int(Double(total) * density) - 1, 0)])
      }
    }
    return selections.map { $0.values[0] }
  }

  private static func kept(_ changes: [[Float]], _ thresholds: [Float], _ task: Int, _ index: Int) -> Float {
    let value = changes[task][index]
    return thresholds.isEmpty || abs(value) >= thresholds[task] ? value : 0
  }

  private static func sums(_ changes: [[Float]], _ thresholds: [Float]) -> [Float] {
    (changes.first ?? []).indices.map { index in
      changes.indices.reduce(0) { $0 + kept(changes, thresholds, $1, index) }
    }
  }

  /// - Parameter majority: its sign is elected where the changes add up to zero.
  private func merged(_ changes: [[Float]], _ thresholds: [Float], majority: Int) -> [Float] {
    TrimElectMerge.sums(changes, thresholds).enumerated().map { index, sum in
      let isPositive = sum != 0 ? sum > 0 : majority > 0
      var (total, count, largest): (Float, Float, Float) = (0, 0, 0)
      for task in changes.indices {
        let value = TrimElectMerge.kept(changes, thresholds, task, index)
        guard value != 0, (value > 0) == isPositive else { continue }
        total += value
        count += 1
        largest = max(largest, abs(value))
      }
      switch aggregate {
      case .mean: return total / max(count, 1)
      case .sum: return total
      case .max: return isPositive ? largest : -largest
      }
    }
  }
}

extension MergeMethod {
  /// `ties` is peft's or mergekit's, tensor by tensor.
  static let tiesPaper = MergeMethod(
    "ties_paper", source: "https://arxiv.org/abs/2306.01708", space: .delta,
    parameters: [trimDensity, trimAggregate, .lambda]
  ) { (problem, emit) throws(MergeError) in
    let merge = TrimElectMerge(
      density: problem.number(trimDensity), aggregate: .init(rawValue: try problem.count(trimAggregate)) ?? .mean)
    try merge.run(modules: problem.modules.indices) { module throws(MergeError) in
      try problem.weightedChanges(module)
    } emit: { (module, merged) throws(MergeError) in
      try emit(module, .dense(problem.scaled(merged, module)))
    }
  }

  static let trimDensity = MergeParameter(
    "density", standard: 0.2, range: 0...1, text: "share of all elements that a task keeps, the largest")
  private static let trimAggregate = MergeParameter(
    "aggregate", words: ["mean", "sum", "max"], standard: 0, text: "what becomes of the elements that agree")
}
