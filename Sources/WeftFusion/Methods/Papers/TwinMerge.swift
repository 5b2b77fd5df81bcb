// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// Twin-Merging: what all tasks share is lambda times their sum, and what belongs to a task alone is its own change without that,
  /// compressed to a low rank or to its largest elements. A router mixes `shared + w * exclusive`.
  ///
  /// Source: https://arxiv.org/abs/2406.15479, repository f481c60 (peft-reference.md, 4.5).
  static let twinMerging = MergeMethod(
    "twin_merging", source: "https://arxiv.org/abs/2406.15479", space: .delta,
    parameters: [.part, sharedLambda, compression, exclusiveRank, exclusiveDensity]
  ) { (problem, emit) throws(MergeError) in
    let lambda = problem.number(sharedLambda)
    let task = try problem.part()
    let masked = try problem.count(compression) == 1
    for (index, module) in problem.modules.enumerated() {
      guard module.shape.count == 2, task == nil || !masked else {
        let changes = try problem.weightedChanges(index)
        let shared = problem.sum(changes).map { Float(lambda) * $0 }
        let change = task.map { zip(changes[$0], shared).map(-) }
        try emit(index, .dense(change.map { masked ? largest($0, problem.number(exclusiveDensity)) : $0 } ?? shared))
        continue
      }
      let cores = try ChangeCores(problem, index)
      let shared = cores.sum.map { lambda * $0 }
      guard let task else {
        try emit(index, try cores.change(shared))
        continue
      }
      var own = try SingularDirections(
        of: zip(cores.cores[task], shared).map(-), rows: cores.rows, columns: cores.columns)
      own.keep(try problem.count(exclusiveRank))
      try emit(index, try cores.change(own))
    }
  }

  /// The largest elements, the others zero; of equal ones the first.
  private static func largest(_ change: [Float], _ density: Double) -> [Float] {
    var kept = change
    MagnitudeOrder.keepLargest(Int(Double(change.count) * density), of: &kept)
    return kept
  }

  private static let sharedLambda = MergeParameter(
    "lambda", standard: 0.3, range: -100...100, text: "factor of the sum of all tasks that they share")
  private static let compression = MergeParameter(
    "exclusive", words: ["svd", "mask"], standard: 0, text: "how what belongs to one task is compressed")
  private static let exclusiveRank = MergeParameter(
    "exclusive_rank", standard: 8, range: 1...65536, text: "rank of what belongs to one task, for svd")
  private static let exclusiveDensity = MergeParameter(
    "exclusive_density", standard: 0.2, range: 0...1, text: "share of its elements, for mask")
}
