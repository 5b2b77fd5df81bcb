// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// CoPA-Merging (RobustMerge): A and B are trimmed by magnitude, and the ranks of a task weigh in B by what trimming took from
  /// their rows of A; A and B are then merged apart.
  ///
  /// Source: https://arxiv.org/abs/2502.17159, repository 1212802 (peft-reference.md, 2.3). With equal scales of the tasks it is the
  /// reference's arithmetic times that scale; other scales, and weights, multiply B. A row of A of which nothing is left, by which
  /// the reference divides, counts as one that lost nothing.
  static let robustMerge = MergeMethod(
    "robust_merge", source: "https://arxiv.org/abs/2502.17159", space: .factors,
    parameters: [maskRatio, attentionRatio, factor]
  ) { (problem, emit) throws(MergeError) in
    let factor = Float(problem.number(factor))
    for module in problem.modules.indices {
      var (merged, total): (MergeFactors?, [Float]) = (nil, [])
      for task in problem.tasks.indices {
        guard let own = try problem.weightedFactors(task, module) else { continue }
        if let merged, merged.rank != own.rank {
          throw .mismatch(
            location: "\(problem.tasks[task].name): \(problem.modules[module].name)",
            expected: "rank \(merged.rank), as the tasks before", found: "\(own.rank)")
        }
        let rank = own.rank
        let a = trimmed(own.a, share: problem.number(maskRatio))
        let b = trimmed(own.b, share: problem.number(maskRatio))
        let weights = rankWeights(own.a, a, rank: rank, raised: problem.number(attentionRatio))
        var sum =
          merged
          ?? MergeFactors(
            a: [Float](repeating: 0, count: a.count), b: [Float](repeating: 0, count: b.count), rank: rank, scale: 1)
        for index in a.indices { sum.a[index] += factor * a[index] }
        for index in b.indices { sum.b[index] += factor * own.scale * weights[index % rank] * b[index] }
        merged = sum
        total = total.isEmpty ? weights : zip(total, weights).map(+)
      }
      guard var merged else { continue }
      for index in merged.b.indices { merged.b[index] /= total[index % merged.rank] }
      try emit(module, .factors(merged))
    }
  }

  /// Without the share of smallest magnitudes.
  private static func trimmed(_ values: [Float], share: Double) -> [Float] {
    let place = min(max(Int(Double(values.count) * (1 - share)), 1), values.count) - 1
    let threshold = values.map(abs).sorted()[place]
    return values.map { abs($0) >= threshold ? $0 : 0 }
  }

  /// How much larger each row of A was before; small ones raised to the one at the share from below.
  private static func rankWeights(_ a: [Float], _ trimmed: [Float], rank: Int, raised: Double) -> [Float] {
    let width = a.count / rank
    func sum(_ values: [Float], _ row: Int) -> Float { values[row * width..<(row + 1) * width].reduce(0) { $0 + abs($1) } }
    let weights = (0..<rank).map { row in
      let left = sum(trimmed, row)
      return left > 0 ? sum(a, row) / left : 1
    }
    let least = weights.sorted()[min(Int(Double(rank) * (1 - raised)), rank - 1)]
    return weights.map { max($0, least) }
  }

  private static let maskRatio = MergeParameter(
    "mask_ratio", standard: 0.2, range: 0...1, text: "share of the elements of A and of B that are kept, the largest")
  private static let attentionRatio = MergeParameter(
    "att_ratio", standard: 0.2, range: 0...1, text: "share of the ranks of a task that keep their weight, the largest")
  private static let factor = MergeParameter(
    "factor", standard: 2, range: -100...100, text: "factor of every task in A and in B")
}
