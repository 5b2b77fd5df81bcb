// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Several changes of one module over common bases (Compress-then-Serve, https://arxiv.org/abs/2407.00066): B_i A_i ~ U C_i V with
/// U [out, R] of orthonormal columns, V [R, in] of orthonormal rows, and a core C_i [R, R] for each, so that the sum of the squared
/// errors is the least that alternating over U and V finds.
package struct SharedBasis: Sendable {
  package let rank: Int
  /// [out * R]
  package let u: [Float]
  /// [R * in]
  package let v: [Float]
  /// [R * R] for each change, with its scale.
  package let cores: [[Float]]
  /// The squared errors over the squared changes, all together.
  package let squaredError: Double

  /// - Parameter changes: of one module; each counts by its squared norm.
  package init(_ changes: [ModuleFactors], rank wanted: Int) throws(CompressionError) {
    guard let first = changes.first else {
      throw .mismatch(location: "shared basis", expected: "at least one adapter", found: "none")
    }
    let (out, width) = (first.outputSize, first.inputSize)
    if let other = changes.first(where: { $0.outputSize != out || $0.inputSize != width }) {
      throw .mismatch(
        location: other.path, expected: "[\(out), \(width)]", found: "[\(other.outputSize), \(other.inputSize)]")
    }
    let rank = min(wanted, out, width, changes.reduce(0) { $0 + $1.rank })
    let factors = changes.map { (a: $0.a.map(Double.init), b: $0.b.map(Double.init), rank: $0.rank) }
    do throws(LinearAlgebraError) {
      // Rows of all changes, each by an orthogonal matrix from the left: R_i of B_i = Q_i R_i times A_i.
      var rows: [Double] = []
      for factor in factors {
        let upper = try LinearAlgebra.qr(factor.b, rows: out, columns: factor.rank).r
        let count = min(out, factor.rank)
        rows += try LinearAlgebra.product(upper, factor.a, rows: count, inner: factor.rank, columns: width)
      }
      var v = try SharedBasis.leadingRows(rows, count: rows.count / width, width: width, rank: rank)
      var (u, last) = ([Double](), Double.infinity)
      let energy = changes.reduce(0) { $0 + $1.energy }
      var kept = 0.0
      for _ in 0..<SharedBasis.rounds {
        // U from the changes seen through V, then V from those seen through U.
        var seen: [Double] = []
        for factor in factors {
          let small = try LinearAlgebra.product(
            factor.a, transposed: false, v, transposed: true, rows: factor.rank, inner: width, columns: rank)
          let columns = try LinearAlgebra.product(factor.b, small, rows: out, inner: factor.rank, columns: rank)
          seen += LinearAlgebra.transposed(columns, rows: out, columns: rank)
        }
        let uT = try SharedBasis.leadingRows(seen, count: seen.count / out, width: out, rank: rank)
        u = LinearAlgebra.transposed(uT, rows: rank, columns: out)
        seen = []
        for factor in factors {
          let small = try LinearAlgebra.product(uT, factor.b, rows: rank, inner: out, columns: factor.rank)
          seen += try LinearAlgebra.product(small, factor.a, rows: rank, inner: factor.rank, columns: width)
        }
        v = try SharedBasis.leadingRows(seen, count: seen.count / width, width: width, rank: rank)
        let inside = try LinearAlgebra.product(
          seen, transposed: false, v, transposed: true, rows: seen.count / width, inner: width, columns: rank)
        kept = inside.reduce(0) { $0 + $1 * $1 }
        let error = energy - kept
        if error > last - 1e-9 * energy { break }
        last = error
      }
      let uT = LinearAlgebra.transposed(u, rows: out, columns: rank)
      var cores: [[Float]] = []
      for factor in factors {
        let left = try LinearAlgebra.product(uT, factor.b, rows: rank, inner: out, columns: factor.rank)
        let right = try LinearAlgebra.product(
          factor.a, transposed: false, v, transposed: true, rows: factor.rank, inner: width, columns: rank)
        cores.append(try LinearAlgebra.product(left, right, rows: rank, inner: factor.rank, columns: rank).map { Float($0) })
      }
      self.rank = rank
      self.u = u.map { Float($0) }
      self.v = v.map { Float($0) }
      self.cores = cores
      squaredError = energy > 0 ? max(0, 1 - kept / energy) : 0
    } catch { throw .linearAlgebra(error) }
  }

  private static let rounds = 60

  /// The orthonormal rows [rank * width] that hold most of a matrix [count, width].
  private static func leadingRows(
    _ matrix: [Double], count: Int, width: Int, rank: Int
  ) throws(LinearAlgebraError) -> [Double] {
    var matrix = matrix
    var count = count
    if count < rank {
      // Fewer rows than directions: with zeros the decomposition has as many as are wanted.
      matrix += [Double](repeating: 0, count: (rank - count) * width)
      count = rank
    }
    return Array(try LinearAlgebra.singularValues(of: matrix, rows: count, columns: width).vT[..<(rank * width)])
  }
}
