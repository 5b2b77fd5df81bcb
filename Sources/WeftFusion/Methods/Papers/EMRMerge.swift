// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// EMR: elects a sign for every element and the largest magnitude that has it (what all tasks share); a task's own result is
  /// that, masked to the signs of its own change and rescaled to its mean magnitude over all modules.
  ///
  /// Source: https://arxiv.org/abs/2405.17461, repository cc225ec (peft-reference.md, 2.3). A task's result reads the changes
  /// twice, the shared one once.
  static let emr = MergeMethod(
    "emr", source: "https://arxiv.org/abs/2405.17461", space: .delta, parameters: [.part]
  ) { (problem, emit) throws(MergeError) in
    guard let task = try problem.part() else {
      for module in problem.modules.indices { try emit(module, .dense(unified(try problem.weightedChanges(module)))) }
      return
    }
    var (own, masked) = (0.0, 0.0)
    for module in problem.modules.indices {
      let changes = try problem.weightedChanges(module)
      own += changes[task].reduce(0) { $0 + Double(abs($1)) }
      masked += agreeing(unified(changes), changes[task]).reduce(0) { $0 + Double(abs($1)) }
    }
    let scale = masked > 0 ? Float(own / masked) : 0
    for module in problem.modules.indices {
      let changes = try problem.weightedChanges(module)
      try emit(module, .dense(agreeing(unified(changes), changes[task]).map { scale * $0 }))
    }
  }

  private static func unified(_ changes: [[Float]]) -> [Float] {
    (changes.first ?? []).indices.map { index in
      // An element whose changes add up to zero counts as negative.
      let isPositive = changes.reduce(0) { $0 + $1[index] } > 0
      let largest = changes.reduce(0) { max($0, isPositive ? $1[index] : -$1[index]) }
      return isPositive ? largest : -largest
    }
  }

  private static func agreeing(_ unified: [Float], _ change: [Float]) -> [Float] {
    zip(unified, change).map { $0 * $1 > 0 ? $0 : 0 }
  }
}
