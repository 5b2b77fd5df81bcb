// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// The changes of one matrix by all tasks in the smallest space that holds them: w_t tau_t = L C_t R^T, where the columns of
/// L [out, rows] and R [in, columns] are orthonormal.
///
/// Singular values of any sum of changes are those of the same sum of cores, and singular vectors are L and R times those of the
/// cores: spectral methods are defined on the changes and calculated on the cores, with the same result. When every task gives
/// factors whose ranks together are below both sides of the matrix, L and R come from QR of all B and all A side by side, and the
/// cores are at most [sum of ranks, sum of ranks]. Else the cores are the changes themselves, 8 bytes for each element and task.
struct ChangeCores {
  /// Sides of a core.
  let rows: Int
  let columns: Int
  /// C_t [rows * columns] of every task, zeros where it leaves the module as it is.
  let cores: [[Double]]
  /// min(out, in): how many singular values the whole matrix has, zeros included.
  let fullCount: Int
  /// [out, rows]; nil for the identity.
  private let left: [Double]?
  /// [in, columns]; nil for the identity.
  private let right: [Double]?
  private let shape: (out: Int, input: Int)

  init(_ problem: MergeProblem, _ module: Int) throws(MergeError) {
    let sizes = problem.modules[module].shape
    shape = (sizes[0], sizes[1])
    fullCount = min(shape.out, shape.input)
    if let factors = try ChangeCores.factors(problem, module, below: fullCount) {
      let rank = factors.reduce(0) { $0 + ($1?.rank ?? 0) }
      do throws(LinearAlgebraError) {
        let (q, upper) = try LinearAlgebra.qr(
          ChangeCores.stacked(factors, out: shape.out), rows: shape.out, columns: rank)
        let all = factors.flatMap { $0?.a.map(Double.init) ?? [] }
        let (p, lower) = try LinearAlgebra.qr(
          LinearAlgebra.transposed(all, rows: rank, columns: shape.input), rows: shape.input, columns: rank)
        var cores: [[Double]] = []
        var first = 0
        for task in factors {
          guard let task else {
            cores.append([Double](repeating: 0, count: rank * rank))
            continue
          }
          let b = ChangeCores.columns(upper, of: rank, first, task.rank, scale: Double(task.scale))
          let a = ChangeCores.columns(lower, of: rank, first, task.rank, scale: 1)
          cores.append(
            try LinearAlgebra.product(b, transposed: false, a, transposed: true, rows: rank, inner: task.rank, columns: rank))
          first += task.rank
        }
        (self.rows, self.columns, self.cores, left, right) = (rank, rank, cores, q, p)
      } catch { throw .linearAlgebra(error) }
    } else {
      (rows, columns, left, right) = (shape.out, shape.input, nil, nil)
      cores = try problem.weightedChanges(module).map { $0.map(Double.init) }
    }
  }

  /// L M R^T of a core M [rows * columns].
  func change(_ core: [Double]) throws(MergeError) -> MergedChange {
    guard let left, let right else { return .dense(core.map { Float($0) }) }
    do throws(LinearAlgebraError) {
      let b = try LinearAlgebra.product(left, core, rows: shape.out, inner: rows, columns: columns)
      let a = LinearAlgebra.transposed(right, rows: shape.input, columns: columns)
      return .factors(MergeFactors(a: a.map { Float($0) }, b: b.map { Float($0) }, rank: columns, scale: 1))
    } catch { throw .linearAlgebra(error) }
  }

  /// L U diag(values) V^T R^T of the singular directions of a core, at their rank.
  func change(_ directions: SingularDirections) throws(MergeError) -> MergedChange {
    var scaled = directions.u
    for index in scaled.indices { scaled[index] *= directions.values[index % directions.count] }
    guard left != nil, directions.count > 0 else { return try change(try directions.matrix()) }
    let wide: [Double]
    do { wide = try outer(directions.vT, count: directions.count) } catch { throw .linearAlgebra(error) }
    return try change(left: scaled, outer: wide.map { Float($0) }, count: directions.count)
  }

  /// L U M of U [rows, count] and M [count, in].
  func change(left u: [Double], outer m: [Float], count: Int) throws(MergeError) -> MergedChange {
    guard count > 0 else { return .dense([Float](repeating: 0, count: shape.out * shape.input)) }
    do throws(LinearAlgebraError) {
      guard let left else {
        let values = m.map(Double.init)
        let product = try LinearAlgebra.product(u, values, rows: shape.out, inner: count, columns: shape.input)
        return .dense(product.map { Float($0) })
      }
      let b = try LinearAlgebra.product(left, u, rows: shape.out, inner: rows, columns: count)
      return .factors(MergeFactors(a: m, b: b.map { Float($0) }, rank: count, scale: 1))
    } catch { throw .linearAlgebra(error) }
  }

  /// M R^T [count, in] of M [count, columns].
  func outer(_ m: [Double], count: Int) throws(LinearAlgebraError) -> [Double] {
    guard let right else { return m }
    return try LinearAlgebra.product(
      m, transposed: false, right, transposed: true, rows: count, inner: columns, columns: shape.input)
  }

  /// The sum of all cores.
  var sum: [Double] {
    cores.dropFirst().reduce(into: cores[0]) { sum, core in
      for index in sum.indices { sum[index] += core[index] }
    }
  }

  /// The factors of every task, when all that change the module have them and it pays to use them.
  private static func factors(_ problem: MergeProblem, _ module: Int, below limit: Int) throws(MergeError) -> [MergeFactors?]? {
    var factors: [MergeFactors?] = []
    var rank = 0
    for task in problem.tasks.indices {
      if var own = try problem.values.factors(task, module) {
        try problem.check(own, task, module)
        rank += own.rank
        guard rank < limit else { return nil }
        own.scale *= problem.weight(task: task, module: module)
        factors.append(own)
      } else {
        guard try problem.values.delta(task, module) == nil else { return nil }
        factors.append(nil)
      }
    }
    return rank > 0 ? factors : nil
  }

  /// All B side by side, [out, sum of ranks].
  private static func stacked(_ factors: [MergeFactors?], out: Int) -> [Double] {
    let rank = factors.reduce(0) { $0 + ($1?.rank ?? 0) }
    var stacked: [Double] = []
    stacked.reserveCapacity(out * rank)
    for row in 0..<out {
      for task in factors { stacked += task.map { $0.b[row * $0.rank..<(row + 1) * $0.rank].map(Double.init) } ?? [] }
    }
    return stacked
  }

  /// Some columns of a matrix [count, count].
  private static func columns(_ matrix: [Double], of count: Int, _ first: Int, _ width: Int, scale: Double) -> [Double] {
    (0..<count).flatMap { row in matrix[row * count + first..<row * count + first + width].map { $0 * scale } }
  }
}
