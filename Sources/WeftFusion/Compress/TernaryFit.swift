// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

/// The change of a module as a product of two ternary factors and one number, fitted to the change itself and not to its factors:
/// B A ~ s T_B T_A.
///
/// B A is also (B R') (R A) for every rotation R, so the factors that a file happens to have are as good as others. It begins with
/// those of the singular values, turned until rounding loses least (alternating rounding and Procrustes' rotation, as in
/// https://ieeexplore.ieee.org/document/6296665), and goes on element by element: each is -1, 0 or 1 as makes
/// |B A - s T_B T_A|^2 + price * elements that are not 0 the least while the others stay (the sums of the semidiscrete
/// decomposition, https://doi.org/10.1145/291080.291113, with one number for all ranks). Nothing random, no data.
package struct TernaryFit: Sendable {
  package let a: TernaryMatrix
  package let b: TernaryMatrix
  /// The number that makes the squared error least.
  package let scale: Double
  /// |B A|^2, and |B A - s T_B T_A|^2 with that number.
  package let energy: Double
  package let squaredError: Double

  /// The number with which the part of the result that lies along B A is all of it: for changes, a weakened one is worse than a
  /// noisy one. Never more than twice the least error's.
  package var unbiasedScale: Double { scale * min(2, energy / max(energy - squaredError, energy * 0.1)) }

  /// Alternations of rounding and turning, and of both factors element by element, at most.
  private static let turns = 20
  private static let rounds = 30

  /// - Parameters:
  ///   - rank: columns of T_B; more than the change's own rank are for what the first ones leave.
  ///   - price: of an element that is not 0, in shares of the mean squared change per element of the factors.
  package init(_ module: ModuleFactors, rank: Int, price: Double) throws(CompressionError) {
    try self.init(module, Truncation(module), rank: rank, price: price)
  }

  /// - Parameter truncation: of the module, for callers that fit it several times.
  package init(
    _ module: ModuleFactors, _ truncation: Truncation, rank: Int, price: Double
  ) throws(CompressionError) {
    var fit = FactorFit(module)
    let first = truncation.balanced(rank: rank)
    try fit.append(a: first.a, b: first.b, rank: first.rank, turns: TernaryFit.turns)
    while fit.rank < rank {
      let rest = try Truncation(fit.rest(of: module)).balanced(rank: min(rank - fit.rank, 8))
      let before = fit.rank
      try fit.append(a: rest.a, b: rest.b, rank: rest.rank, turns: TernaryFit.turns)
      if fit.rank == before { break }
    }
    fit.refine(price: price * fit.energy / Double(rank * (module.inputSize + module.outputSize)), rounds: TernaryFit.rounds)
    a = TernaryMatrix(rows: fit.rank, columns: module.inputSize, codes: fit.left.flatMap { $0.map { Int8($0) } })
    var codes = [Int8](repeating: 0, count: module.outputSize * fit.rank)
    for r in 0..<fit.rank { for o in 0..<module.outputSize { codes[o * fit.rank + r] = Int8(fit.right[r][o]) } }
    b = TernaryMatrix(rows: module.outputSize, columns: fit.rank, codes: codes)
    (scale, energy, squaredError) = (fit.scale, fit.energy, fit.squaredError)
  }
}

/// The state of a fit: rows of T_A and columns of T_B as vectors of -1, 0, 1.
private struct FactorFit {
  /// Rows of A and columns of B.
  let sourceA: [[Double]]
  let sourceB: [[Double]]
  let energy: Double
  var left: [[Double]] = []
  var right: [[Double]] = []
  var scale = 0.0
  var rank: Int { left.count }

  init(_ module: ModuleFactors) {
    sourceA = (0..<module.rank).map { r in
      module.a[r * module.inputSize..<(r + 1) * module.inputSize].map(Double.init)
    }
    sourceB = (0..<module.rank).map { r in (0..<module.outputSize).map { Double(module.b[$0 * module.rank + r]) } }
    energy = module.energy
  }

  // MARK: - Beginning

  /// Adds ranks: factors in f64 that are turned and rounded.
  mutating func append(a: [Double], b: [Double], rank: Int, turns: Int) throws(CompressionError) {
    let (width, out) = (a.count / rank, b.count / rank)
    var rows = (0..<rank).map { Array(a[$0 * width..<($0 + 1) * width]) }
    var columns = (0..<rank).map { r in (0..<out).map { b[$0 * rank + r] } }
    rotate(&rows, &columns) { row, column in
      // The discrete cosine transform: orthogonal, and no element of it is small for all ranks.
      cos(Double.pi * (Double(column) + 0.5) * Double(row) / Double(rank)) * (row == 0 ? 1 : 2.0.squareRoot())
        / Double(rank).squareRoot()
    }
    for _ in 0..<turns {
      let (roundedA, stepA) = FactorFit.rounded(rows)
      let (roundedB, stepB) = FactorFit.rounded(columns)
      var core = [Double](repeating: 0, count: rank * rank)
      for r in 0..<rank {
        for s in 0..<rank {
          core[r * rank + s] = stepA * dot(roundedA[r], rows[s]) + stepB * dot(roundedB[r], columns[s])
        }
      }
      let parts: SingularValues<Double>
      let turn: [Double]
      do throws(LinearAlgebraError) {
        parts = try LinearAlgebra.singularValues(of: core, rows: rank, columns: rank)
        turn = try LinearAlgebra.product(parts.u, parts.vT, rows: rank, inner: rank, columns: rank)
      } catch { throw .linearAlgebra(error) }
      rotate(&rows, &columns) { turn[$0 * rank + $1] }
    }
    left += FactorFit.rounded(rows).codes
    right += FactorFit.rounded(columns).codes
    rescale()
  }

  private func rotate(_ rows: inout [[Double]], _ columns: inout [[Double]], _ turn: (Int, Int) -> Double) {
    for vectors in [0, 1] {
      let old = vectors == 0 ? rows : columns
      var new = old
      for r in old.indices {
        new[r] = [Double](repeating: 0, count: old[r].count)
        for s in old.indices {
          let factor = turn(r, s)
          for i in new[r].indices { new[r][i] += factor * old[s][i] }
        }
      }
      if vectors == 0 { rows = new } else { columns = new }
    }
  }

  /// The half of all elements that are largest as signs, and the number that fits them best.
  private static func rounded(_ vectors: [[Double]]) -> (codes: [[Double]], step: Double) {
    let magnitudes = vectors.joined().map(\.magnitude).sorted()
    let threshold = magnitudes[magnitudes.count / 2]
    var (sum, count) = (0.0, 0.0)
    let codes = vectors.map { vector in
      vector.map { value -> Double in
        guard value.magnitude >= threshold, value != 0 else { return 0 }
        sum += value.magnitude
        count += 1
        return value < 0 ? -1 : 1
      }
    }
    return (codes, count > 0 ? sum / count : 0)
  }

  /// What the fit leaves of the module.
  func rest(of module: ModuleFactors) -> ModuleFactors {
    let total = module.rank + rank
    var b = [Float](repeating: 0, count: module.outputSize * total)
    for o in 0..<module.outputSize {
      for r in 0..<module.rank { b[o * total + r] = module.b[o * module.rank + r] }
      for r in 0..<rank { b[o * total + module.rank + r] = Float(-scale * right[r][o]) }
    }
    return module.with(a: module.a + left.flatMap { $0.map { Float($0) } }, b: b, rank: total)
  }

  // MARK: - Element by element

  mutating func refine(price: Double, rounds: Int) {
    var last = Double.infinity
    for _ in 0..<rounds {
      right = FactorFit.improved(right, beside: left, sourceB, sourceA, scale, price)
      rescale()
      left = FactorFit.improved(left, beside: right, sourceA, sourceB, scale, price)
      rescale()
      let cost = squaredError + price * Double((left + right).joined().reduce(0) { $0 + $1.magnitude })
      if scale == 0 || cost > last * (1 - 1e-4) { break }
      last = cost
    }
  }

  /// One factor's vectors with each element as is best, twice over. `own` and `other` are the vectors of the change itself.
  private static func improved(
    _ vectors: [[Double]], beside fixed: [[Double]], _ own: [[Double]], _ other: [[Double]], _ scale: Double, _ price: Double
  ) -> [[Double]] {
    let rank = vectors.count
    var vectors = vectors
    // Of each element: s times the change's product with the other factor.
    var wanted = vectors
    var gram = [[Double]](repeating: [Double](repeating: 0, count: rank), count: rank)
    for r in 0..<rank {
      let weights = other.map { scale * dot($0, fixed[r]) }
      for i in wanted[r].indices { wanted[r][i] = 0 }
      for (weight, vector) in zip(weights, own) { for i in vector.indices { wanted[r][i] += weight * vector[i] } }
      for s in 0..<rank { gram[r][s] = scale * scale * dot(fixed[r], fixed[s]) }
    }
    for _ in 0..<2 {
      for r in 0..<rank {
        var gradient = wanted[r]
        for s in 0..<rank where s != r && gram[r][s] != 0 {
          let factor = gram[r][s]
          for i in gradient.indices { gradient[i] -= factor * vectors[s][i] }
        }
        for i in gradient.indices {
          let isWorth = 2 * gradient[i].magnitude - gram[r][r] - price > 0
          vectors[r][i] = isWorth ? (gradient[i] < 0 ? -1 : 1) : 0
        }
      }
    }
    return vectors
  }

  // MARK: - The number

  /// <B A, T_B T_A> and |T_B T_A|^2.
  private var products: (mixed: Double, own: Double) {
    var (mixed, own) = (0.0, 0.0)
    for r in left.indices {
      for s in sourceA.indices { mixed += dot(left[r], sourceA[s]) * dot(right[r], sourceB[s]) }
      for s in left.indices { own += dot(left[r], left[s]) * dot(right[r], right[s]) }
    }
    return (mixed, own)
  }

  private mutating func rescale() {
    let (mixed, own) = products
    scale = own > 0 ? mixed / own : 0
  }

  var squaredError: Double {
    let (mixed, own) = products
    return max(0, energy - 2 * scale * mixed + scale * scale * own)
  }
}

private func dot(_ a: [Double], _ b: [Double]) -> Double {
  var sum = 0.0
  for i in a.indices { sum += a[i] * b[i] }
  return sum
}
