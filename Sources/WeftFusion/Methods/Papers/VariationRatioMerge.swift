// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// FuseChat's VaRM: in every module a task weighs as much as the mean square of its change has in that of all tasks.
  ///
  /// Source: https://arxiv.org/abs/2402.16107, matrix by matrix. What no task changes stays as it is.
  static let variationRatio = MergeMethod(
    "fusechat", source: "https://arxiv.org/abs/2402.16107", space: .delta, parameters: [.lambda]
  ) { (problem, emit) throws(MergeError) in
    for module in problem.modules.indices {
      let lambda = problem.number(.lambda, module: module)
      var changes = try problem.weightedChanges(module)
      let squares = changes.map { $0.reduce(0) { $0 + Double($1) * Double($1) } }
      let total = squares.reduce(0, +)
      for task in changes.indices {
        let share = total > 0 ? Float(lambda * squares[task] / total) : 0
        for index in changes[task].indices { changes[task][index] *= share }
      }
      try emit(module, .dense(problem.sum(changes)))
    }
  }
}
