// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension MergeMethod {
  /// PCB-Merging: elements compete within their task by magnitude and between tasks by agreement, and only the best share of every
  /// task is merged, weighted by how well it did.
  ///
  /// Source: https://arxiv.org/abs/2410.02396, repository 5897888 (peft-reference.md, 2.3). All is ranked over all modules together;
  /// the changes are read five times, a module of all tasks at a time.
  static let pcb = MergeMethod(
    "pcb", source: "https://arxiv.org/abs/2410.02396", space: .delta, parameters: [ratio, clip, scale]
  ) { (problem, emit) throws(MergeError) in
    guard !problem.modules.isEmpty else { return }
    let competition = try Competition(problem, ratio: problem.number(ratio), clip: problem.number(clip))
    let lambdas = problem.tasks.indices.map { Float(problem.number(scale, task: $0)) }
    for module in problem.modules.indices {
      let changes = try problem.weightedChanges(module)
      let scores = competition.scores(changes)
      try emit(
        module,
        .dense(
          (0..<problem.modules[module].elementCount).map { index in
            var (sum, total): (Float, Float) = (0, 0)
            for task in changes.indices {
              let share = competition.share(scores[task][index], task)
              sum += lambdas[task] * (competition.clipped(changes[task][index], task) * share)
              total += share
            }
            return sum / max(total, 1e-12)
          }))
    }
  }

  private static let ratio = MergeParameter("ratio", standard: 0.1, range: 0...1, text: "share of a task's elements that win")
  private static let clip = MergeParameter(
    "clip", standard: 0.0001, range: 0...0.5, text: "share of magnitudes at either end that are moved to the next one")
  private static let scale = MergeParameter(
    "lambda", standard: 1.2, range: -100...100, isOfTask: true, text: "factor of a task in the merged change")
}

/// Where the elements of every task stand.
private struct Competition {
  /// The smallest and largest magnitude that counts, by task.
  private var magnitudes: [(low: Float, high: Float)] = []
  /// The score that the best share begins at, and the best, by task.
  private var bests: [(low: Float, high: Float)] = []

  init(_ problem: MergeProblem, ratio: Double, clip: Double) throws(MergeError) {
    magnitudes = try Competition.bounds(problem) { total in
      // As the reference counts: with few elements, the largest is moved to the second largest.
      (Int(Double(total) * clip), max(Int(Double(total) * (1 - clip) - 1), 0))
    } of: { changes in
      changes.map { $0.map(abs) }
    }
    bests = try Competition.bounds(problem) { total in
      (min(Int(Double(total) * (1 - ratio)), total - 1), total - 1)
    } of: { [self] changes in
      scores(changes)
    }
  }

  /// The numbers at two places of what `numbers` makes of each task's changes, over all modules.
  private static func bounds(
    _ problem: MergeProblem, _ places: (_ total: Int) -> (Int, Int), of numbers: ([[Float]]) -> [[Float]]
  ) throws(MergeError) -> [(low: Float, high: Float)] {
    var selections = problem.tasks.map { _ in RadixSelection() }
    for pass in 0..<2 {
      for module in problem.modules.indices {
        for (task, own) in numbers(try problem.weightedChanges(module)).enumerated() { selections[task].read(own) }
      }
      guard pass == 0 else { break }
      for task in selections.indices {
        let (low, high) = places(selections[task].total)
        selections[task].narrow(to: [low, high])
      }
    }
    return selections.map { ($0.values[0], $0.values[1]) }
  }

  func clipped(_ value: Float, _ task: Int) -> Float {
    // As torch's clamp: with few elements the bounds may lie the wrong way round, and the upper one counts.
    let magnitude = min(max(abs(value), magnitudes[task].low), magnitudes[task].high)
    return value > 0 ? magnitude : value < 0 ? -magnitude : 0
  }

  /// exp(T m^2) tanh(tau_i sum_j tau_j) of every element, m in 0...1 by magnitude; divided by exp(T), which no rank depends on, so
  /// that it stays finite with many tasks.
  func scores(_ changes: [[Float]]) -> [[Float]] {
    let sums = (changes.first ?? []).indices.map { index in changes.reduce(0) { $0 + $1[index] } }
    let count = Float(changes.count)
    return changes.enumerated().map { task, change in
      let (low, high) = magnitudes[task]
      return change.enumerated().map { index, value in
        let magnitude = min(max(abs(value), low), high)
        let m = high > low ? (magnitude - low) / (high - low) : 0
        return expf(count * (m * m - 1)) * tanhf(value * sums[index])
      }
    }
  }

  /// 0 for what lost, up to 1 for the best.
  func share(_ score: Float, _ task: Int) -> Float {
    let (low, high) = bests[task]
    return high > low ? (min(max(score, low), high) - low) / (high - low) : 0
  }
}
