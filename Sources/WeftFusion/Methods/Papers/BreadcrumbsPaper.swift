// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// Model Breadcrumbs: tensor by tensor, the smallest and the largest changes of a task are left out, and the rest is added up.
  ///
  /// Source: https://arxiv.org/abs/2312.06795 (peft-reference.md, 2.3). mergekit's `breadcrumbs` states densities and zeroes a
  /// tensor that is too small to have outliers; here such a tensor loses none.
  static let breadcrumbsPaper = MergeMethod(
    "breadcrumbs_paper", source: "https://arxiv.org/abs/2312.06795", space: .delta, parameters: [beta, gamma, .lambda]
  ) { (problem, emit) throws(MergeError) in
    for module in problem.modules.indices {
      var changes = try problem.weightedChanges(module)
      for task in changes.indices {
        let count = changes[task].count
        let smallest = Int(problem.number(beta, module: module, task: task) * Double(count))
        var largest = changes[task]
        MagnitudeOrder.keepLargest(Int((1 - problem.number(gamma, module: module, task: task)) * Double(count)), of: &largest)
        MagnitudeOrder.keepLargest(count - smallest, of: &changes[task])
        for index in largest.indices where largest[index] != 0 { changes[task][index] = 0 }
      }
      try emit(module, .dense(problem.scaled(problem.sum(changes), module)))
    }
  }

  private static let beta = MergeParameter(
    "beta", standard: 0.85, range: 0...1, isOfTask: true, text: "share of the smallest changes that are left out")
  private static let gamma = MergeParameter(
    "gamma", standard: 0.993, range: 0...1, isOfTask: true, text: "share behind which the largest changes are left out")
}
