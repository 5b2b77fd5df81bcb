// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension MergeMethod {
  /// LoRA-LEGO: every rank of every adapter (a row of A beside a column of B) is a unit; k-means over the units of a module gives
  /// the ranks of the merged adapter. A cluster's mean gets the mean length of its units, and the whole change sqrt(r / k), r the
  /// mean rank of the tasks. k is the rank that is asked for, else the largest of the
  /// tasks, and never above the number of units.
  ///
  /// Source: https://arxiv.org/abs/2409.16167 (peft-reference.md, 2.3). A task's scale and weight are in its units: sqrt(|c|) in A
  /// and in B, the sign in B. Random numbers are those of numpy's `default_rng(seed)`, one stream for all modules in order.
  static let lego = MergeMethod(
    "lego", source: "https://arxiv.org/abs/2409.16167", space: .factors
  ) { (problem, emit) throws(MergeError) in
    var generator = NumPyGenerator(seed: problem.seed)
    for module in problem.modules.indices {
      let shape = problem.modules[module].shape
      var (units, ranks): ([[Double]], [Int]) = ([], [])
      for task in problem.tasks.indices {
        guard let factors = try problem.weightedFactors(task, module) else { continue }
        units += factors.units(inputs: shape[1])
        ranks.append(factors.rank)
      }
      let rank = min(problem.rank ?? ranks.max() ?? 1, units.count)
      let clusters = UnitClusters(units, count: rank, &generator)
      let merged = zip(clusters.means, clusters.lengths).map { mean, length in
        let own = mean.reduce(0) { $0 + $1 * $1 }.squareRoot()
        return own > 0 ? mean.map { $0 * length / own } : mean
      }
      let mean = Double(ranks.reduce(0, +)) / Double(max(ranks.count, 1))
      try emit(
        module, .factors(MergeFactors(units: merged, inputs: shape[1], scale: Float((mean / Double(rank)).squareRoot()))))
    }
  }
}

extension MergeFactors {
  /// A row of A beside a column of B for each rank, the scale divided between both.
  fileprivate func units(inputs: Int) -> [[Double]] {
    let root = Double(abs(scale)).squareRoot()
    let outputs = b.count / rank
    return (0..<rank).map { r in
      a[r * inputs..<(r + 1) * inputs].map { root * Double($0) }
        + (0..<outputs).map { (scale < 0 ? -root : root) * Double(b[$0 * rank + r]) }
    }
  }

  fileprivate init(units: [[Double]], inputs: Int, scale: Float) {
    let outputs = units[0].count - inputs
    self.init(
      a: units.flatMap { $0[..<inputs].map { Float($0) } },
      b: (0..<outputs).flatMap { row in units.map { Float($0[inputs + row]) } }, rank: units.count, scale: scale)
  }
}

/// k-means over vectors: k-means++ (Arthur and Vassilvitskii, 2007), then Lloyd's steps until no vector changes its cluster, at most
/// 100. Of clusters that are equally near, the first counts; one that loses all its vectors is zero.
struct UnitClusters {
  private(set) var means: [[Double]]
  /// The mean length of each cluster's vectors.
  private(set) var lengths: [Double] = []
  private var clusters: [Int]

  init(_ units: [[Double]], count: Int, _ generator: inout NumPyGenerator) {
    means = UnitClusters.beginnings(units, count: count, &generator)
    clusters = UnitClusters.nearest(units, means)
    for _ in 0..<100 {
      update(units)
      let next = UnitClusters.nearest(units, means)
      guard next != clusters else { break }
      clusters = next
    }
    update(units)
    lengths = means.indices.map { cluster in
      let own = units.indices.filter { clusters[$0] == cluster }
      let sum = own.reduce(0) { $0 + units[$1].reduce(0) { $0 + $1 * $1 }.squareRoot() }
      return sum / Double(max(own.count, 1))
    }
  }

  /// The first vector is any; every further one is drawn with a chance that grows with the square of its distance to those before.
  private static func beginnings(_ units: [[Double]], count: Int, _ generator: inout NumPyGenerator) -> [[Double]] {
    var chosen = [min(Int(generator.nextUnit() * Double(units.count)), units.count - 1)]
    var distances = [Double](repeating: .infinity, count: units.count)
    while chosen.count < count {
      for index in units.indices {
        distances[index] = min(distances[index], squaredDistance(units[index], units[chosen[chosen.count - 1]]))
      }
      let target = generator.nextUnit() * distances.reduce(0, +)
      var sum = 0.0
      // Where all that is left equals what was chosen, the next in order is taken.
      let other = units.indices.first { !chosen.contains($0) } ?? 0
      chosen.append(
        units.indices.first { index in
          sum += distances[index]
          return sum > target
        } ?? other)
    }
    return chosen.map { units[$0] }
  }

  private static func nearest(_ units: [[Double]], _ means: [[Double]]) -> [Int] {
    units.map { unit in
      var (best, least) = (0, Double.infinity)
      for (index, mean) in means.enumerated() {
        let distance = squaredDistance(unit, mean)
        if distance < least { (best, least) = (index, distance) }
      }
      return best
    }
  }

  private static func squaredDistance(_ x: [Double], _ y: [Double]) -> Double {
    var sum = 0.0
    for index in x.indices { sum += (x[index] - y[index]) * (x[index] - y[index]) }
    return sum
  }

  private mutating func update(_ units: [[Double]]) {
    for cluster in means.indices {
      let own = units.indices.filter { clusters[$0] == cluster }
      means[cluster] = (0..<units[0].count).map { place in
        own.reduce(0) { $0 + units[$1][place] } / Double(max(own.count, 1))
      }
    }
  }
}

extension NumPyGenerator {
  /// A double in 0..<1 as numpy's `random()` gives it.
  fileprivate mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
