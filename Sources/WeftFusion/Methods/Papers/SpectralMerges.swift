// SPDX-License-Identifier: Apache-2.0

// TSV-M, Iso-C and Iso-CTS: a merged change is put together from singular vectors. `ChangeCores` says what they are calculated on,
// `SingularDirections` what becomes of singular values that are zero. Vectors are averaged.
extension MergeMethod {
  /// TSV-M: the largest min(out, in) / T singular triples of every task beside each other, their vectors made orthonormal.
  ///
  /// Source: https://arxiv.org/abs/2412.00081, repository a6c9718 (peft-reference.md, 2.3).
  static let tsvM = MergeMethod(
    "tsv_m", source: "https://arxiv.org/abs/2412.00081", space: .delta, parameters: [.lambda]
  ) { (problem, emit) throws(MergeError) in
    try problem.mergeMatrices(emit) { cores throws(MergeError) in
      let parts = try cores.tasks(keeping: cores.fullCount / problem.tasks.count)
      return try SingularDirections.joined(parts).orthogonalized().matrix()
    }
  }

  /// Iso-C: the sum of all changes with every singular value replaced by their mean.
  ///
  /// Source: https://arxiv.org/abs/2502.04959, repository d34010a (peft-reference.md, 2.3). The reference's mean is over
  /// min(out, in) values, zeros counted; with `over: rank` it is over those that are not zero, which keeps the size of adapters.
  static let isoC = MergeMethod(
    "iso_c", source: "https://arxiv.org/abs/2502.04959", space: .delta, parameters: [over, .lambda]
  ) { (problem, emit) throws(MergeError) in
    let overRank = try problem.count(over) == 1
    try problem.mergeMatrices(emit) { cores throws(MergeError) in
      let sum = try SingularDirections(of: cores.sum, rows: cores.rows, columns: cores.columns)
      return try sum.isotropic(over: overRank ? sum.count : cores.fullCount)
    }
  }

  /// Iso-CTS: the largest directions of the sum, common to the tasks, and for every task those of what they leave of it; all
  /// vectors made orthonormal, all singular values replaced by their mean.
  ///
  /// Source: as Iso-C. Of n directions, n - T round((n - int(0.8 n)) / T) are common (halves to even), the others shared evenly;
  /// n is min(out, in), with `over: rank` the rank of the sum.
  static let isoCTS = MergeMethod(
    "iso_cts", source: "https://arxiv.org/abs/2502.04959", space: .delta, parameters: [over, common, .lambda]
  ) { (problem, emit) throws(MergeError) in
    let (overRank, share, tasks) = (try problem.count(over) == 1, problem.number(common), problem.tasks.count)
    try problem.mergeMatrices(emit) { cores throws(MergeError) in
      var shared = try SingularDirections(of: cores.sum, rows: cores.rows, columns: cores.columns)
      let count = overRank ? shared.count : cores.fullCount
      let own = Int((Double(count - Int(share * Double(count))) / Double(tasks)).rounded(.toNearestOrEven))
      // What is left of a task that lies in the common directions is rounding.
      let rounding = 1e-6 * (shared.values.first ?? 0)
      shared.keep(count - tasks * own)
      var parts = try cores.tasks(keeping: own, without: shared, above: rounding)
      parts.append(shared)
      let joined = SingularDirections.joined(parts)
      return try joined.orthogonalized().isotropic(over: overRank ? joined.count : count)
    }
  }

  private static let over = MergeParameter(
    "over", words: ["shape", "rank"], standard: 0, text: "which singular values count: all of the shape, or those above zero")
  private static let common = MergeParameter(
    "common", standard: 0.8, range: 0...1, text: "share of the directions that the tasks have in common")
}

extension ChangeCores {
  /// The largest singular triples of every task, of what is left of it outside of the left vectors of `common`.
  fileprivate func tasks(
    keeping count: Int, without common: SingularDirections? = nil, above smallest: Double = 0
  ) throws(MergeError) -> [SingularDirections] {
    var parts: [SingularDirections] = []
    for core in cores {
      let left = try common?.remainder(of: core, columns: columns) ?? core
      var part = try SingularDirections(of: left, rows: rows, columns: columns, above: smallest)
      part.keep(count)
      parts.append(part)
    }
    return parts
  }
}

extension SingularDirections {
  /// The sum of the values divided by `count`, on all of the vectors.
  fileprivate func isotropic(over count: Int) throws(MergeError) -> [Double] {
    let mean = values.reduce(0, +) / Double(max(count, 1))
    return try matrix(values: values.map { _ in mean })
  }
}

extension MergeProblem {
  /// Merges matrices by what `core` makes of their cores, vectors by their mean, and multiplies both by `lambda`.
  fileprivate func mergeMatrices(
    _ emit: MergeMethod.Emit, _ core: (ChangeCores) throws(MergeError) -> [Double]
  ) throws(MergeError) {
    for (index, module) in modules.enumerated() {
      let lambda = number(.lambda, module: index)
      guard module.shape.count == 2 else {
        let share = Float(lambda / Double(tasks.count))
        try emit(index, .dense(sum(try weightedChanges(index)).map { $0 * share }))
        continue
      }
      let cores = try ChangeCores(self, index)
      try emit(index, try cores.change(try core(cores).map { $0 * lambda }))
    }
  }
}
