// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension MergeMethod {
  /// mergekit's methods whose result is a weighted sum of the tasks with weights that depend on the angles between them. Only
  /// products of tasks with each other are needed, so that low ranks stay low ranks, exactly.
  static let sphereMethods: [MergeMethod] = [
    onSphere(
      "slerp", source: "https://en.wikipedia.org/wiki/Slerp", tasks: 2...2, isOfWholeWeights: true,
      parameters: [.t]
    ) { (gram, problem, module) throws(MergeError) in
      gram.interpolation(Double(problem.value(.t, module: module)), isLinear: { $0.magnitude > 0.9995 })
    },
    MergeMethod(
      "nuslerp", source: "https://github.com/arcee-ai/mergekit/blob/main/docs/merge_methods.md", space: .delta,
      taskCount: 2...2, parameters: [.flatten, .rowWise], run: nuslerp),
    onSphere(
      "multislerp", source: "https://goddard.blog/posts/multislerp-wow-what-a-cool-idea", tasks: 2...1024,
      parameters: [.normalizesWeights, .smallest]
    ) { (gram, problem, module) throws(MergeError) in
      var weights = problem.tasks.indices.map { Double(problem.weight(task: $0, module: module)) }
      if problem.isOn(.normalizesWeights, module: module) {
        let sum = weights.reduce(0, +)
        guard sum.magnitude >= 1e-8 else {
          throw .mismatch(location: "method multislerp", expected: "weights whose sum is not 0", found: "\(weights)")
        }
        weights = weights.map { $0 / sum }
      }
      return try gram.tangentMean(weights, smallest: Double(problem.value(.smallest, module: module)))
    },
    onSphere(
      "karcher", source: "https://en.wikipedia.org/wiki/Karcher_mean", tasks: 2...1024, isOfWholeWeights: true,
      parameters: [.iterations, .tolerance]
    ) { (gram, problem, module) throws(MergeError) in
      gram.karcherMean(
        iterations: Int(problem.value(.iterations, module: module)),
        tolerance: Double(problem.value(.tolerance, module: module)))
    },
    MergeMethod(
      "model_stock", source: "https://arxiv.org/abs/2403.19522", space: .delta, taskCount: 2...1024,
      parameters: [.filterWise], run: modelStock),
    onSphere(
      "passthrough", source: "https://github.com/arcee-ai/mergekit", tasks: 1...1, isOfWholeWeights: true,
      parameters: [.scale]
    ) { (_, problem, module) throws(MergeError) in [Double(problem.value(.scale, task: 0, module: module))] },
  ]

  /// A method whose result is a sum of the tasks with these coefficients.
  private static func onSphere(
    _ name: String, source: String, tasks: ClosedRange<Int>, isOfWholeWeights: Bool = false, parameters: [MergeParameter],
    coefficients: @escaping @Sendable (GramMatrix, MergeProblem, Int) throws(MergeError) -> [Double]
  ) -> MergeMethod {
    MergeMethod(
      name, source: source, space: .delta, taskCount: tasks, isOfWholeWeights: isOfWholeWeights, parameters: parameters
    ) { (problem, emit) throws(MergeError) in
      for module in problem.modules.indices {
        try emit(
          module, try problem.combination(module) { gram throws(MergeError) in try coefficients(gram, problem, module) })
      }
    }
  }

  private static let nuslerp: @Sendable (MergeProblem, Emit) throws(MergeError) -> Void = {
    (problem, emit) throws(MergeError) in
    for module in problem.modules.indices {
      let weights = (0..<2).map { Double(problem.weight(task: $0, module: module)) }
      let sum = weights[0] + weights[1]
      let t = sum.magnitude < 1e-6 ? 0.5 : weights[1] / sum
      func coefficients(_ gram: GramMatrix) -> [Double] {
        gram.interpolation(t, isLinear: { (1 - min($0 * $0, 1)).squareRoot() < 1e-8 })
      }
      guard !problem.isOn(.flatten, module: module) else {
        try emit(module, try problem.combination(module) { gram throws(MergeError) in coefficients(gram) })
        continue
      }
      try emit(
        module, try problem.rowCombination(module, byColumns: problem.isOn(.rowWise, module: module), coefficients))
    }
  }

  private static let modelStock: @Sendable (MergeProblem, Emit) throws(MergeError) -> Void = {
    (problem, emit) throws(MergeError) in
    for module in problem.modules.indices {
      if problem.isOn(.filterWise, module: module) {
        try emit(module, try problem.rowCombination(module, byColumns: false) { $0.stock() })
      } else {
        try emit(module, try problem.combination(module) { gram throws(MergeError) in gram.stock() })
      }
    }
  }
}

extension MergeParameter {
  fileprivate static let t = MergeParameter(
    "t", standard: nil, range: unit, text: "0 is the first task, 1 the second")
  fileprivate static let flatten = MergeParameter("nuslerp_flatten", isOn: true, text: "one angle for the whole tensor")
  fileprivate static let rowWise = MergeParameter(
    "nuslerp_row_wise", isOn: false, text: "without nuslerp_flatten: an angle per column in place of one per row")
  fileprivate static let normalizesWeights = MergeParameter(
    "normalize_weights", isOn: true, text: "divide the weights by their sum")
  fileprivate static let smallest = MergeParameter("eps", standard: 1e-8, range: share, text: "added to lengths")
  fileprivate static let iterations = MergeParameter("max_iter", standard: 10, range: 1...10_000, text: "steps at most")
  fileprivate static let tolerance = MergeParameter("tol", standard: 1e-5, range: share, text: "step that ends it")
  fileprivate static let filterWise = MergeParameter("filter_wise", isOn: false, text: "an angle per row")
  fileprivate static let scale = MergeParameter(
    "scale", standard: 1, range: anyNumber, isOfTask: true, text: "factor of the one task")
}
