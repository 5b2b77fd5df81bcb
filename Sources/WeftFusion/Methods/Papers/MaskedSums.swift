// SPDX-License-Identifier: Apache-2.0

// TALL masks: which elements of the sum of all changes matter to a task, |tau_t| > lambda |sum - tau_t|.
// Source: https://arxiv.org/abs/2405.07813, repository d10af8b (peft-reference.md, 2.3).
extension MergeMethod {
  /// The elements of the sum that matter to several tasks.
  static let consensus = MergeMethod(
    "consensus", source: "https://arxiv.org/abs/2405.07813", space: .delta, parameters: [maskLambda, agreement, .lambda]
  ) { (problem, emit) throws(MergeError) in
    let least = try problem.count(agreement)
    for module in problem.modules.indices {
      let masked = try MaskedSum(problem, module)
      let merged = masked.sum.enumerated().map { index, value -> Float in
        masked.masks.reduce(0) { $0 + ($1[index] ? 1 : 0) } >= least ? value : 0
      }
      try emit(module, .dense(problem.scaled(merged, module)))
    }
  }

  /// What one task is left of the sum: masks are per task, so the result is one adapter for each.
  static let tallMasks = MergeMethod(
    "tall_masks", source: "https://arxiv.org/abs/2405.07813", space: .delta, parameters: [maskLambda, .part]
  ) { (problem, emit) throws(MergeError) in
    let part = try problem.part()
    for module in problem.modules.indices {
      let masked = try MaskedSum(problem, module)
      let mask = part.map { masked.masks[$0] }
      try emit(module, .dense(masked.sum.enumerated().map { index, value in mask?[index] ?? true ? value : 0 }))
    }
  }

  fileprivate static let maskLambda = MergeParameter(
    "mask_lambda", standard: 0.4, range: 0...100, isOfTask: true,
    text: "an element matters to a task when it is above this times what the others add")
  private static let agreement = MergeParameter(
    "active", standard: 2, range: 1...1024, text: "how many tasks an element must matter to")
}

private struct MaskedSum {
  /// The sum of all changes.
  let sum: [Float]
  /// By task: whether an element matters to it.
  let masks: [[Bool]]

  init(_ problem: MergeProblem, _ module: Int) throws(MergeError) {
    let changes = try problem.weightedChanges(module)
    let sum = problem.sum(changes)
    masks = changes.enumerated().map { task, change in
      let lambda = Float(problem.number(MergeMethod.maskLambda, module: module, task: task))
      return change.enumerated().map { index, value in abs(value) > lambda * abs(sum[index] - value) }
    }
    self.sum = sum
  }
}
