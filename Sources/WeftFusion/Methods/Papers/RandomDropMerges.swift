// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

// DARE and DELLA as their papers have them: what is left is divided by its own chance to be left, not by one factor for the whole
// tensor as in mergekit. Chances are drawn by torch's generator, f32, one for each element: module by module, task by task.
extension MergeMethod {
  /// Source: https://arxiv.org/abs/2311.03099 (peft-reference.md, 2.3).
  static let darePaper = MergeMethod(
    "dare_paper", source: "https://arxiv.org/abs/2311.03099", space: .delta, parameters: [dropRate, .lambda]
  ) { (problem, emit) throws(MergeError) in
    var generator = problem.generator()
    for module in problem.modules.indices {
      let changes = try problem.weightedChanges(module).enumerated().map { task, change in
        dropped(change, rate: Float(problem.number(dropRate, module: module, task: task)), &generator)
      }
      try emit(module, .dense(problem.scaled(problem.sum(changes), module)))
    }
  }

  /// DELLA: in every row (a vector is one) the chance to be dropped falls from rate + epsilon / 2 to rate - epsilon / 2 with the
  /// rank of the magnitude; then the elected sign's elements are averaged.
  ///
  /// Source: https://arxiv.org/abs/2406.11617 (peft-reference.md, 2.3).
  static let dellaPaper = MergeMethod(
    "della_paper", source: "https://arxiv.org/abs/2406.11617", space: .delta, parameters: [dropRate, epsilon, .lambda]
  ) { (problem, emit) throws(MergeError) in
    var generator = problem.generator()
    for module in problem.modules.indices {
      let width = problem.modules[module].shape.last ?? 1
      var changes = try problem.weightedChanges(module)
      for task in changes.indices {
        let rate = problem.number(dropRate, module: module, task: task)
        let spread = problem.number(epsilon, module: module, task: task)
        let lowest = rate - spread / 2
        guard lowest >= 0, rate + spread / 2 < 1 else {
          throw .mismatch(
            location: "\(problem.tasks[task].name): drop and epsilon",
            expected: "drop - epsilon / 2 and drop + epsilon / 2 in 0..<1",
            found: "drop \(rate), epsilon \(spread)")
        }
        let rates = magnitudeRanks(changes[task], width: width).map { Float(lowest + spread / Double(width) * Double($0)) }
        let drops = generator.bernoulli(probabilities: rates)
        for index in drops.indices { changes[task][index] = drops[index] ? 0 : changes[task][index] / (1 - rates[index]) }
      }
      try emit(module, .dense(problem.scaled(elected(changes), module)))
    }
  }

  /// The change with a share of its elements dropped at random, the others divided by their chance to be left.
  static func dropped(_ change: [Float], rate: Float, _ generator: inout TorchGenerator) -> [Float] {
    let drops = generator.bernoulli(probabilities: [Float](repeating: rate, count: change.count))
    return zip(change, drops).map { $1 ? 0 : $0 / (1 - rate) }
  }

  /// How many elements of its row have a larger magnitude; equal ones rank by their place.
  private static func magnitudeRanks(_ change: [Float], width: Int) -> [Int] {
    var ranks = [Int](repeating: 0, count: change.count)
    for row in stride(from: 0, to: change.count, by: max(width, 1)) {
      let order = (row..<row + width).sorted { (-abs(change[$0]), $0) < (-abs(change[$1]), $1) }
      for (rank, index) in order.enumerated() { ranks[index] = rank }
    }
    return ranks
  }

  /// The mean of what has the sign of the sum; zero where the changes add up to zero.
  private static func elected(_ changes: [[Float]]) -> [Float] {
    (changes.first ?? []).indices.map { index in
      let sum = changes.reduce(0) { $0 + $1[index] }
      let agreeing = changes.lazy.map { $0[index] }.filter { $0 * sum > 0 }
      return agreeing.reduce(0, +) / Float(max(agreeing.count, 1))
    }
  }

  static let dropRate = MergeParameter(
    "drop", standard: 0.9, range: 0...0.999, isOfTask: true, text: "chance of an element to be dropped")
  private static let epsilon = MergeParameter(
    "epsilon", standard: 0.1, range: 0...1, isOfTask: true, text: "from the lowest chance to be dropped to the highest")
}
