// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension MergeMethod {
  /// MaTS: sum of w_t C_t tau = sum of w_t C_t tau_t, where C_t says in which directions a task must not move, solved by conjugate
  /// gradients from a given start, and stopped after `iterations` steps. Here C_t tau = tau G_t with the Gram matrix of the
  /// inputs: to its end it is RegMean with whole matrices.
  static let matching = MergeMethod(
    "mats", source: "https://arxiv.org/abs/2312.04339", space: .delta, statistics: [.gram, .gramDiagonal],
    parameters: [.iterations, .start, .tolerance]
  ) { (problem, emit) throws(MergeError) in
    try problem.match(emit) { (statistics, module) throws(MergeError) in
      try statistics.inputGram(of: module).map { MatchingBlock(output: nil, input: $0) }
    }
  }

  /// The same with C_t tau = D_t tau G_t, D_t that of the gradients of the outputs: the Fisher information by blocks in its
  /// Kronecker-factored form (K-FAC), for which there is no closed form.
  static let kroneckerMatching = MergeMethod(
    "mats_kfac", source: "https://arxiv.org/abs/2312.04339", space: .delta, statistics: [.gradientGram],
    parameters: [.iterations, .start, .tolerance]
  ) { (problem, emit) throws(MergeError) in
    try problem.match(emit) { (statistics, module) throws(MergeError) in
      guard let input = try statistics.inputGram(of: module),
        let output = try statistics.values(.gradientGram, of: module.name, shape: [module.shape[0], module.shape[0]])
      else { return nil }
      return MatchingBlock(output: output.map { Double($0) }, input: input)
    }
  }
}

/// A symmetric map of changes [out, in]: tau to D tau G.
private struct MatchingBlock {
  /// D [out * out]; nil for the identity.
  let output: [Double]?
  let input: InputGram

  func apply(_ change: [Double], rows: Int) throws(MergeError) -> [Double] {
    let right = try input.product(change, rows: rows)
    guard let output else { return right }
    do { return try LinearAlgebra.product(output, right, rows: rows, inner: rows, columns: input.size) } catch {
      throw .linearAlgebra(error)
    }
  }
}

extension MergeProblem {
  fileprivate func match(
    _ emit: MergeMethod.Emit, _ block: (MergeStatistics, Module) throws(MergeError) -> MatchingBlock?
  ) throws(MergeError) {
    for (index, module) in modules.enumerated() {
      let voters = try voters(index) { statistics throws(MergeError) in try block(statistics, module) }
      guard !voters.isEmpty else {
        try emit(index, try mean(index))
        continue
      }
      let rows = module.shape[0]
      func sum(_ change: (Voter<MatchingBlock>) throws(MergeError) -> [Double]) throws(MergeError) -> [Double] {
        var sum = [Double](repeating: 0, count: module.elementCount)
        for voter in voters {
          let part = try voter.knowledge.apply(try change(voter), rows: rows)
          for element in sum.indices { sum[element] += voter.weight * part[element] }
        }
        return sum
      }
      let target = try sum { voter throws(MergeError) in try wideChange(task: voter.task, module: index) }
      var start = [Double](repeating: 0, count: module.elementCount)
      let scale = Double(value(.start, module: index))
      for task in tasks.indices where scale != 0 {
        let share = scale * Double(weight(task: task, module: index))
        for (element, value) in try wideChange(task: task, module: index).enumerated() { start[element] += share * value }
      }
      let solution = try conjugateGradients(
        from: start, target: target, iterations: Int(value(.iterations, module: index)),
        tolerance: Double(value(.tolerance, module: index))
      ) { change throws(MergeError) in try sum { _ throws(MergeError) in change } }
      try emit(index, .dense(solution.map { Float($0) }))
    }
  }

  /// x of M x = target with a symmetric, positive M (Hestenes & Stiefel 1952), until the residual is `tolerance` times the target.
  private func conjugateGradients(
    from start: [Double], target: [Double], iterations: Int, tolerance: Double,
    _ map: ([Double]) throws(MergeError) -> [Double]
  ) throws(MergeError) -> [Double] {
    func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    var x = start
    var residual = zip(target, try map(x)).map { $0 - $1 }
    var direction = residual
    var square = dot(residual, residual)
    let enough = tolerance * tolerance * dot(target, target)
    for _ in 0..<iterations where square > enough {
      let image = try map(direction)
      let curvature = dot(direction, image)
      // Nothing is known of this direction.
      guard curvature > 0 else { break }
      let step = square / curvature
      for element in x.indices {
        x[element] += step * direction[element]
        residual[element] -= step * image[element]
      }
      let next = dot(residual, residual)
      for element in x.indices { direction[element] = residual[element] + next / square * direction[element] }
      square = next
    }
    return x
  }
}

extension MergeParameter {
  fileprivate static let iterations = MergeParameter(
    "iterations", standard: 100, range: 0...100_000, text: "steps of conjugate gradients at most")
  fileprivate static let start = MergeParameter(
    "start", standard: 0.3, range: anyNumber, text: "begins at this times the weighted sum of the tasks (task arithmetic)")
  fileprivate static let tolerance = MergeParameter(
    "tol", standard: 1e-6, range: unit, text: "share of the right side that the residual may be at the end")
}
