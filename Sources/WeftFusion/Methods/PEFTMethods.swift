// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension MergeMethod {
  /// The combination types of peft's `add_weighted_adapter`, under its names (peft 0.21.2; peft-reference.md, 2.1).
  ///
  /// Those of space `factors` merge A with A and B with B, with the weight's root on each, and need equal ranks; those that end
  /// in `svd` merge the changes. What one task lacks the others decide. Random masks are drawn module by module: A of each
  /// task, then B of each; or the change of each.
  static let peftMethods: [MergeMethod] = [
    MergeMethod("linear", source: peftSource, space: .factors) { (problem, emit) throws(MergeError) in
      try FactorMerge(steps: MergeSteps()).run(problem, emit)
    },
    ofFactors("ties", source: ties, steps: peftTies, parameters: [.peftDensity, .majority]),
    ofFactors("dare_linear", source: dare, steps: peftDare, parameters: [.peftDensity]),
    ofFactors("dare_ties", source: dare, steps: peftDareTies, parameters: [.peftDensity, .majority]),
    ofFactors("magnitude_prune", source: peftSource, steps: peftPrune, parameters: [.peftDensity]),
    MergeMethod("cat", source: peftSource, space: .concat) { (problem, emit) throws(MergeError) in
      for module in problem.modules.indices { try emit(module, .factors(try problem.concatenated(module))) }
    },
    ofChanges("svd", source: peftSource, tasks: 1...1024, steps: MergeSteps(), parameters: []),
    ofChanges("ties_svd", source: ties, steps: peftTies, parameters: [.peftDensity, .majority]),
    ofChanges("dare_linear_svd", source: dare, steps: peftDare, parameters: [.peftDensity]),
    ofChanges("dare_ties_svd", source: dare, steps: peftDareTies, parameters: [.peftDensity, .majority]),
    ofChanges("magnitude_prune_svd", source: peftSource, steps: peftPrune, parameters: [.peftDensity]),
  ]

  private static let peftSource = "https://huggingface.co/docs/peft/developer_guides/model_merging"
  static let ties = "https://arxiv.org/abs/2306.01708"
  static let dare = "https://arxiv.org/abs/2311.03099"

  private static let peftTies = MergeSteps(sparsification: .magnitude, election: .sum, divisor: .voters)
  private static let peftDare = MergeSteps(sparsification: .random, rescaling: .inverseDensity)
  private static let peftDareTies = MergeSteps(
    sparsification: .random, rescaling: .inverseDensity, election: .sum, divisor: .voters)
  private static let peftPrune = MergeSteps(sparsification: .magnitude)

  private static func ofFactors(
    _ name: String, source: String, steps: MergeSteps, parameters: [MergeParameter]
  ) -> MergeMethod {
    MergeMethod(name, source: source, space: .factors, taskCount: 2...1024, parameters: parameters) {
      (problem, emit) throws(MergeError) in try FactorMerge(steps: steps).run(problem, emit)
    }
  }

  private static func ofChanges(
    _ name: String, source: String, tasks: ClosedRange<Int> = 2...1024, steps: MergeSteps, parameters: [MergeParameter]
  ) -> MergeMethod {
    MergeMethod(name, source: source, space: .delta, taskCount: tasks, parameters: parameters) {
      (problem, emit) throws(MergeError) in
      var generator = problem.generator()
      for module in problem.modules.indices {
        let steps = problem.elected(steps, module: module)
        let amounts = Sparsification.Amounts(density: problem.value(.peftDensity, module: module))
        try emit(
          module,
          try problem.change(module, steps: steps, skipsAbsent: true, generator: &generator) { _ in amounts })
      }
    }
  }
}

extension MergeParameter {
  static let peftDensity = MergeParameter("density", standard: 1, range: share, text: "share of the elements that is kept")
  static let majority = MergeParameter(
    "majority_sign_method", words: ["total", "frequency"], standard: 0, text: "what elects the sign: the sum, or the count")
}

extension MergeProblem {
  /// The steps with the election that the parameter `majority_sign_method` asks for.
  func elected(_ steps: MergeSteps, module: Int) -> MergeSteps {
    guard steps.election == .sum, isOn(.majority, module: module) else { return steps }
    var steps = steps
    steps.election = .count
    return steps
  }
}

/// A with A and B with B: each factor of the result is a merge of the tasks' own, with weights sign(w s) sqrt|w s| for A and
/// sqrt|w s| for B. Vectors (IA3) are added up with their weights.
private struct FactorMerge {
  let steps: MergeSteps

  func run(_ problem: MergeProblem, _ emit: MergeMethod.Emit) throws(MergeError) {
    var generator = problem.generator()
    for (index, module) in problem.modules.enumerated() {
      if module.shape.count == 1 {
        try emit(index, .dense(try vector(problem, index)))
      } else {
        try emit(index, .factors(try factors(problem, index, &generator)))
      }
    }
  }

  private func factors(
    _ problem: MergeProblem, _ index: Int, _ generator: inout TorchGenerator
  ) throws(MergeError) -> MergeFactors {
    let module = problem.modules[index]
    var (a, b): ([[Float]], [[Float]]) = ([], [])
    var (weightsOfA, weightsOfB): ([Float], [Float]) = ([], [])
    var rank: (value: Int, task: String)?
    for (task, described) in problem.tasks.enumerated() {
      guard let own = try problem.values.factors(task, index) else {
        guard try problem.values.delta(task, index) == nil else {
          throw .notMixable(
            task: "\(described.name), \(module.name)",
            reason: "it is no product of two factors; expected a method of space delta")
        }
        continue
      }
      if let rank, rank.value != own.rank {
        throw .mismatch(
          location: module.name, expected: "equal ranks (\(rank.value), as \(rank.task) has), or a method of space delta",
          found: "\(own.rank) in \(described.name)")
      }
      rank = (own.rank, described.name)
      let weight = Double(problem.weight(task: task, module: index)) * Double(own.scale)
      let root = Float(weight.magnitude.squareRoot())
      weightsOfA.append(weight < 0 ? -root : root)
      weightsOfB.append(root)
      a.append(own.a)
      b.append(own.b)
    }
    guard let rank = rank?.value else {
      throw .notMixable(task: module.name, reason: "no task has factors for it")
    }
    let steps = problem.elected(steps, module: index)
    let amounts = Sparsification.Amounts(density: problem.value(.peftDensity, module: index))
    for (columns, side) in [(module.shape[1], 0), (rank, 1)] {
      for task in a.indices {
        func sparsify(_ values: inout [Float]) throws(MergeError) {
          try steps.sparsification.apply(
            to: &values, columns: columns, amounts: amounts, rescaling: steps.rescaling, generator: &generator,
            location: module.name)
        }
        if side == 0 { try sparsify(&a[task]) } else { try sparsify(&b[task]) }
      }
    }
    return MergeFactors(
      a: steps.combine(a, weights: weightsOfA), b: steps.combine(b, weights: weightsOfB), rank: rank, scale: 1)
  }

  private func vector(_ problem: MergeProblem, _ index: Int) throws(MergeError) -> [Float] {
    var (vectors, weights): ([[Float]], [Float]) = ([], [])
    for task in problem.tasks.indices {
      guard let own = try problem.values.delta(task, index) else { continue }
      vectors.append(own)
      weights.append(problem.weight(task: task, module: index))
    }
    guard steps.sparsification == .none else {
      throw .notMixable(task: problem.modules[index].name, reason: "vectors are merged by the method linear alone")
    }
    return steps.combine(vectors, weights: weights)
  }
}
