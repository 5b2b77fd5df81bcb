// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension MergeMethod {
  /// mergekit's methods under its names (mergekit 0.1.4; peft-reference.md, 2.2), on changes: of adapters scale * B A, of models
  /// theta - theta_0. Where mergekit merges models without a base, whole weights stand in the place of changes.
  static let mergekitMethods: [MergeMethod] = taskArithmeticMethods + sphereMethods + elementMethods

  /// mergekit's generalised task arithmetic.
  private static let taskArithmeticMethods: [MergeMethod] = [
    arithmetic(
      "linear", source: "https://arxiv.org/abs/2203.05482", steps: MergeSteps(), normalizes: true, isOfWholeWeights: true),
    arithmetic("task_arithmetic", source: "https://arxiv.org/abs/2212.04089", steps: MergeSteps()),
    arithmetic("ties", source: ties, steps: MergeSteps(sparsification: .magnitude, election: .weightedSum), normalizes: true),
    arithmetic("dare_linear", source: dare, steps: MergeSteps(sparsification: .random), rescales: true),
    arithmetic(
      "dare_ties", source: dare, steps: MergeSteps(sparsification: .random, election: .weightedSum), rescales: true),
    arithmetic(
      "della", source: della, steps: MergeSteps(sparsification: .rankedRandom, election: .weightedSum), normalizes: true,
      rescales: true, extra: [.epsilon]),
    arithmetic(
      "della_linear", source: della, steps: MergeSteps(sparsification: .rankedRandom), rescales: true, extra: [.epsilon]),
    arithmetic("breadcrumbs", source: breadcrumbs, steps: MergeSteps(sparsification: .magnitudeOutliers), extra: [.gamma]),
    arithmetic(
      "breadcrumbs_ties", source: breadcrumbs,
      steps: MergeSteps(sparsification: .magnitudeOutliers, election: .weightedSum), extra: [.gamma]),
  ]

  private static let della = "https://arxiv.org/abs/2406.11617"
  private static let breadcrumbs = "https://arxiv.org/abs/2312.06795"

  /// A row of task arithmetic with mergekit's defaults for `normalize` and `rescale`.
  private static func arithmetic(
    _ name: String, source: String, steps: MergeSteps, normalizes: Bool = false, rescales: Bool = false,
    extra: [MergeParameter] = [], isOfWholeWeights: Bool = false
  ) -> MergeMethod {
    let normalize = MergeParameter("normalize", isOn: normalizes, text: "divide by the sum of the weights")
    let rescale = MergeParameter("rescale", isOn: rescales, text: "restore the sum of magnitudes after sparsification")
    let parameters: [MergeParameter] =
      isOfWholeWeights
      ? [normalize] : [normalize, .lambda] + (steps.sparsification == .none ? [] : [rescale, .density]) + extra
    return MergeMethod(
      name, source: source, space: .delta, isOfWholeWeights: isOfWholeWeights, parameters: parameters
    ) { (problem, emit) throws(MergeError) in
      var generator = problem.generator()
      for module in problem.modules.indices {
        var steps = steps
        if problem.isOn(normalize, module: module) { steps.divisor = .weights }
        if problem.isOn(rescale, module: module) { steps.rescaling = .sumOfMagnitudes }
        let change = try problem.change(
          module, steps: steps, skipsAbsent: false, factor: problem.value(.lambda, module: module), generator: &generator
        ) { task in
          Sparsification.Amounts(
            density: problem.value(.density, task: task, module: module),
            gamma: problem.value(.gamma, task: task, module: module),
            epsilon: problem.value(.epsilon, task: task, module: module))
        }
        try emit(module, change)
      }
    }
  }
}

extension MergeParameter {
  static let density = MergeParameter(
    "density", standard: 1, range: share, isOfTask: true, text: "share of the elements that is kept")
  static let lambda = MergeParameter("lambda", standard: 1, range: anyNumber, text: "factor of the result")
  static let gamma = MergeParameter(
    "gamma", standard: 0.01, range: unit, isOfTask: true, text: "share of the largest elements that is dropped")
  static let epsilon = MergeParameter(
    "epsilon", standard: 0.15, range: unit, isOfTask: true, text: "how far probabilities lie around density")
}
