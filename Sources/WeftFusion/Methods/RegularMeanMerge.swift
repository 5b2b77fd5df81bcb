// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension MergeMethod {
  /// RegMean: the map whose outputs come closest to those of every task on its own inputs,
  /// tau = (sum of w_t tau_t G_t) S^-1, S = sum of w_t G_t, with G_t = X_t^T X_t / n, whose elements off the diagonal are
  /// multiplied by `non_diagonal`. The base cancels out. Of low ranks it is a low rank, exactly: B = [B_1, B_2, ...] and
  /// A = [w_1 s_1 A_1 G_1; w_2 s_2 A_2 G_2; ...] S^-1.
  ///
  /// What no task ever reads (a column of zeros) is the plain mean.
  static let regularMean = MergeMethod(
    "regmean", source: "https://arxiv.org/abs/2212.09849", space: .delta, statistics: [.gram, .gramDiagonal],
    parameters: [.nonDiagonal]
  ) { (problem, emit) throws(MergeError) in
    for (index, module) in problem.modules.enumerated() {
      let ratio = Double(problem.value(.nonDiagonal, module: index))
      let voters = try problem.voters(index) { statistics throws(MergeError) in
        var gram = try statistics.inputGram(of: module)
        gram?.scaleNonDiagonal(by: ratio)
        return gram
      }
      try emit(index, voters.isEmpty ? try problem.mean(index) : try problem.regularMean(index, voters))
    }
  }
}

extension MergeProblem {
  fileprivate func regularMean(_ index: Int, _ voters: [Voter<InputGram>]) throws(MergeError) -> MergedChange {
    let (out, size) = (modules[index].shape[0], modules[index].shape[1])
    var sum = InputGram(size: size, isDiagonal: voters.allSatisfy(\.knowledge.isDiagonal))
    for voter in voters { sum.add(voter.knowledge, times: voter.weight) }
    let unread = (0..<size).filter { sum[diagonal: $0] == 0 }
    let weights = voters.reduce(0) { $0 + $1.weight }
    for column in unread { sum[diagonal: column] = weights }
    /// w M_t G_t of a task.
    func weighted(_ voter: Voter<InputGram>, _ matrix: [Double], rows: Int) throws(MergeError) -> [Double] {
      var gram = voter.knowledge
      for column in unread { gram[diagonal: column] = 1 }
      return try gram.product(matrix, rows: rows).map { $0 * voter.weight }
    }
    if try hasFactorsOnly(index) {
      var a: [Double] = []
      for voter in voters {
        guard let own = try values.factors(voter.task, index) else { continue }
        a += try weighted(voter, own.a.map { Double($0) * Double(own.scale) }, rows: own.rank)
      }
      // Columns of B beside each other are those of the exact sum.
      var factors = try concatenated(index, weights: tasks.map { _ in 1 })
      factors.a = try sum.quotient(a, rows: factors.rank).map { Float($0) }
      return .factors(factors)
    }
    var total = [Double](repeating: 0, count: out * size)
    for voter in voters {
      let part = try weighted(voter, try wideChange(task: voter.task, module: index), rows: out)
      for element in total.indices { total[element] += part[element] }
    }
    return .dense(try sum.quotient(total, rows: out).map { Float($0) })
  }
}

extension MergeParameter {
  fileprivate static let nonDiagonal = MergeParameter(
    "non_diagonal", standard: 0.9, range: unit, text: "what elements off the diagonal of Gram matrices are multiplied by")
}
