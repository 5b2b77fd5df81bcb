// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// Every element as the mean of the tasks by how much their answers depend on it:
  /// tau = sum of w_t F_t tau_t / sum of w_t F_t, with F_t at least the floor. The base cancels out, so that the merged weights
  /// are those of the paper.
  static let fisher = MergeMethod(
    "fisher", source: "https://arxiv.org/abs/2111.09832", space: .delta, statistics: [.fisher],
    parameters: [.fisherFloor, .normalizesFisher]
  ) { (problem, emit) throws(MergeError) in
    let norms = try problem.fisherNorms { (statistics, module) throws(MergeError) in
      try statistics.values(.fisher, of: module.name, shape: module.shape).map { [$0] }
    }
    for (index, module) in problem.modules.enumerated() {
      let voters = try problem.voters(index) { statistics throws(MergeError) in
        try statistics.values(.fisher, of: module.name, shape: module.shape)
      }
      guard !voters.isEmpty else {
        try emit(index, try problem.mean(index))
        continue
      }
      let floor = Double(problem.value(.fisherFloor, module: index))
      var mean = FisherMean(count: module.elementCount, floor: floor)
      for voter in voters {
        mean.add(
          try problem.wideChange(task: voter.task, module: index), voter.knowledge, weight: voter.weight / norms[voter.task])
      }
      try emit(index, .dense(try mean.result(location: module.name)))
    }
  }

  /// The same of the factors, A with A and B with B. Ranks are equal; other scales than the first task's go into B.
  static let fisherFactors = MergeMethod(
    "fisher_factors", source: "https://arxiv.org/abs/2111.09832", space: .factors, statistics: [.fisherA],
    parameters: [.fisherFloor, .normalizesFisher]
  ) { (problem, emit) throws(MergeError) in
    typealias Fisher = (a: [Float], b: [Float])
    func fisher(_ statistics: MergeStatistics, _ module: MergeProblem.Module, rank: Int) throws(MergeError) -> Fisher? {
      guard
        let a = try statistics.values(.fisherA, of: module.name, shape: [rank, module.shape[1]]),
        let b = try statistics.values(.fisherB, of: module.name, shape: [module.shape[0], rank])
      else { return nil }
      return (a, b)
    }
    var ranks: [Int] = []
    for index in problem.modules.indices { ranks.append(try problem.commonRank(index)) }
    let norms = try problem.fisherNorms { (statistics, module) throws(MergeError) in
      guard let index = problem.modules.firstIndex(of: module) else { return nil }
      return try fisher(statistics, module, rank: ranks[index]).map { [$0.a, $0.b] }
    }
    for (index, module) in problem.modules.enumerated() {
      let voters = try problem.voters(index) { statistics throws(MergeError) in
        try fisher(statistics, module, rank: ranks[index])
      }
      guard !voters.isEmpty else {
        throw .mismatch(
          location: module.name, expected: "statistics of the factors, as `weft stats --fisher-of factors` writes them",
          found: "none")
      }
      let floor = Double(problem.value(.fisherFloor, module: index))
      var (a, b) = (
        FisherMean(count: ranks[index] * module.shape[1], floor: floor),
        FisherMean(count: module.shape[0] * ranks[index], floor: floor)
      )
      var scale: Float?
      for voter in voters {
        guard let own = try problem.values.factors(voter.task, index) else { continue }
        let common = scale ?? own.scale
        scale = common
        let share = Double(own.scale / common)
        let weight = voter.weight / norms[voter.task]
        a.add(own.a.map { Double($0) }, voter.knowledge.a, weight: weight)
        // Of s b, the squared gradient is that of b by s^2.
        b.add(own.b.map { Double($0) * share }, voter.knowledge.b, weight: weight, dividing: share * share)
      }
      try emit(
        index,
        .factors(
          MergeFactors(
            a: try a.result(location: module.name), b: try b.result(location: module.name), rank: ranks[index],
            scale: scale ?? 1)))
    }
  }
}

/// A weighted mean of arrays with weights of their own for every element.
private struct FisherMean {
  private var sum: [Double]
  private var weights: [Double]
  private let floor: Double

  init(count: Int, floor: Double) {
    sum = [Double](repeating: 0, count: count)
    weights = sum
    self.floor = floor
  }

  mutating func add(_ values: [Double], _ fisher: [Float], weight: Double, dividing divisor: Double = 1) {
    for index in sum.indices {
      let share = weight * max(Double(fisher[index]) / divisor, floor)
      sum[index] += share * values[index]
      weights[index] += share
    }
  }

  func result(location: String) throws(MergeError) -> [Float] {
    guard !weights.contains(0) else {
      throw .mismatch(
        location: location, expected: "weights whose sum, times Fisher information, is not 0", found: "0; raise fisher_floor")
    }
    return zip(sum, weights).map { Float($0 / $1) }
  }
}

extension MergeProblem {
  /// The norm of each task's Fisher information over all modules, where weights shall be divided by it; 1 elsewhere.
  fileprivate func fisherNorms(
    _ values: (MergeStatistics, Module) throws(MergeError) -> [[Float]]?
  ) throws(MergeError) -> [Double] {
    guard isOn(.normalizesFisher, module: 0) else { return tasks.map { _ in 1 } }
    var norms: [Double] = []
    for own in statistics {
      var sum = 0.0
      for module in modules {
        for part in try values(own, module) ?? [] { sum = part.reduce(sum) { $0 + Double($1) * Double($1) } }
      }
      guard sum > 0 else {
        throw .mismatch(
          location: own.location, expected: "Fisher information other than 0", found: "none; collect it with --fisher")
      }
      norms.append(sum.squareRoot())
    }
    return norms
  }

  /// The rank of all tasks that change a module.
  fileprivate func commonRank(_ module: Int) throws(MergeError) -> Int {
    var rank: Int?
    for task in tasks.indices {
      guard let own = try values.factors(task, module) else {
        guard try values.delta(task, module) == nil else {
          throw .notMixable(
            task: tasks[task].name, reason: "\(modules[module].name) is no low rank, and fisher_factors merges factors")
        }
        continue
      }
      guard own.rank == rank ?? own.rank else {
        throw .mismatch(
          location: "\(tasks[task].name), \(modules[module].name)", expected: "rank \(rank ?? 0), as the tasks before have",
          found: "rank \(own.rank)")
      }
      rank = own.rank
    }
    return rank ?? 0
  }
}

extension MergeParameter {
  fileprivate static let fisherFloor = MergeParameter(
    "fisher_floor", standard: 1e-6, range: 0...(.greatestFiniteMagnitude), text: "least Fisher information of an element")
  fileprivate static let normalizesFisher = MergeParameter(
    "normalize_fisher", isOn: false, text: "divide each weight by the norm of the task's Fisher information")
}
