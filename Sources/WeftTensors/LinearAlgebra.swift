// SPDX-License-Identifier: Apache-2.0

internal import CLAPACK
internal import Glibc

/// Dense linear algebra of whole matrices by LAPACK, for what happens when an adapter is read, fused or compressed: nothing
/// of the token loop.
///
/// Matrices are row-major arrays whose element count is the product of their sizes. No size may be zero or beyond 2^31 - 1.
/// LAPACK sees every matrix as numpy and torch hand it over, column by column, so that the signs of singular vectors and of
/// QR's columns are those of the same LAPACK called from there.
///
/// OpenBLAS works on the calling thread alone, so that it does not compete with the pool of a running engine; who sets
/// `OPENBLAS_NUM_THREADS` decides otherwise.
package enum LinearAlgebra {
  /// The product [rows, columns] of A [rows, inner] and B [inner, columns]. A matrix that is stored transposed (A as
  /// [inner, rows], B as [columns, inner]) is read so where its flag says it.
  package static func product<Scalar: LinearAlgebraScalar>(
    _ a: [Scalar], transposed aIsTransposed: Bool = false, _ b: [Scalar], transposed bIsTransposed: Bool = false,
    rows: Int, inner: Int, columns: Int
  ) throws(LinearAlgebraError) -> [Scalar] {
    var (m, k, n) = (try size(rows), try size(inner), try size(columns))
    precondition(a.count == rows * inner && b.count == inner * columns)
    prepare
    var result = [Scalar](repeating: 0, count: rows * columns)
    // By columns, C^T = B^T A^T: what lies there row by row is B^T and A^T already.
    Scalar.multiply(
      bIsTransposed ? "T" : "N", aIsTransposed ? "T" : "N", &n, &m, &k, b, bIsTransposed ? k : n, a, aIsTransposed ? m : k,
      &result)
    return result
  }

  /// X [size, columns] of A X = B, with A [size, size].
  ///
  /// Throws `.singular` when elimination meets a pivot that is exactly zero.
  package static func solve<Scalar: LinearAlgebraScalar>(
    _ a: [Scalar], size: Int, _ b: [Scalar], columns: Int
  ) throws(LinearAlgebraError) -> [Scalar] {
    var (n, right) = (try LinearAlgebra.size(size), try LinearAlgebra.size(columns))
    precondition(a.count == size * size && b.count == size * columns)
    prepare
    var left = transposed(a, rows: size, columns: size)
    var solution = transposed(b, rows: size, columns: columns)
    var pivots = [Int32](repeating: 0, count: size)
    var info: Int32 = 0
    Scalar.solve(&n, &right, &left, &pivots, &solution, &info)
    guard info == 0 else { throw info > 0 ? .singular(pivot: Int(info) - 1) : .refused(routine: "gesv", code: Int(info)) }
    return transposed(solution, rows: columns, columns: size)
  }

  /// The matrix with its rows as columns: [columns, rows] of [rows, columns].
  package static func transposed<Scalar: LinearAlgebraScalar>(_ matrix: [Scalar], rows: Int, columns: Int) -> [Scalar] {
    Scalar.transposed(matrix, rows: rows, columns: columns)
  }

  /// A size as LAPACK takes it.
  static func size(_ size: Int) throws(LinearAlgebraError) -> Int32 {
    guard size > 0, let small = Int32(exactly: size) else { throw .size(size) }
    return small
  }

  /// Settles the number of OpenBLAS's threads, once per process.
  static let prepare: Void = {
    if getenv("OPENBLAS_NUM_THREADS") == nil { openblas_set_num_threads(1) }
  }()
}

/// What LAPACK could not do.
package enum LinearAlgebraError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A number of rows or columns that LAPACK cannot take.
  case size(Int)
  /// An element that is infinite or not a number, by its index.
  case nonFinite(index: Int)
  /// The matrix of a linear system has no inverse; the first pivot, from zero, that is zero.
  case singular(pivot: Int)
  /// The iteration for singular values did not settle.
  case notConverged(rows: Int, columns: Int)
  /// A routine that refused its argument number `-code`.
  case refused(routine: String, code: Int)

  package var description: String {
    switch self {
    case .size(let size): "linear algebra: expected sizes of 1 to \(Int32.max), found \(size)"
    case .nonFinite(let index): "linear algebra: expected finite numbers, found infinity or NaN at element \(index)"
    case .singular(let pivot): "linear algebra: expected a matrix with an inverse, found pivot \(pivot) to be zero"
    case .notConverged(let rows, let columns):
      "linear algebra: the singular values of a matrix [\(rows), \(columns)] do not settle"
    case .refused(let routine, let code): "linear algebra: LAPACK's \(routine) refused its argument \(-code)"
    }
  }
}
