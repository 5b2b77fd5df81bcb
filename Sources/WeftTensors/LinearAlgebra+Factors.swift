// SPDX-License-Identifier: Apache-2.0

/// A matrix W [rows, columns] as U diag(values) V^T, with count = min(rows, columns).
package struct SingularValues<Scalar: LinearAlgebraScalar>: Sendable {
  /// [rows, count]; its columns are orthonormal.
  package let u: [Scalar]
  /// From the largest to the smallest, none below zero.
  package let values: [Scalar]
  /// V^T [count, columns]; its rows are orthonormal.
  package let vT: [Scalar]
}

extension LinearAlgebra {
  /// The thin singular value decomposition of a matrix, by divide and conquer (gesdd).
  ///
  /// Throws `.nonFinite` before LAPACK sees an infinity or NaN, on which it may not return.
  package static func singularValues<Scalar: LinearAlgebraScalar>(
    of matrix: [Scalar], rows: Int, columns: Int
  ) throws(LinearAlgebraError) -> SingularValues<Scalar> {
    var (m, n) = (try size(rows), try size(columns))
    precondition(matrix.count == rows * columns)
    if let index = Scalar.firstNonFinite(in: matrix) { throw .nonFinite(index: index) }
    prepare
    let count = min(rows, columns)
    var a = transposed(matrix, rows: rows, columns: columns)
    var values = [Scalar](repeating: 0, count: count)
    var u = [Scalar](repeating: 0, count: rows * count)
    var vT = [Scalar](repeating: 0, count: count * columns)
    var integers = [Int32](repeating: 0, count: 8 * count)
    var info: Int32 = 0
    var work = try workspace("gesdd") { work, length, info in
      Scalar.decompose(&m, &n, &a, &values, &u, &vT, &work, length, &integers, &info)
    }
    Scalar.decompose(&m, &n, &a, &values, &u, &vT, &work, Int32(work.count), &integers, &info)
    guard info == 0 else {
      throw info > 0 ? .notConverged(rows: rows, columns: columns) : .refused(routine: "gesdd", code: Int(info))
    }
    return SingularValues(
      u: transposed(u, rows: count, columns: rows), values: values, vT: transposed(vT, rows: columns, columns: count))
  }

  /// W [rows, columns] as Q R: Q [rows, count] with orthonormal columns, R [count, columns] upper triangular,
  /// count = min(rows, columns).
  package static func qr<Scalar: LinearAlgebraScalar>(
    _ matrix: [Scalar], rows: Int, columns: Int
  ) throws(LinearAlgebraError) -> (q: [Scalar], r: [Scalar]) {
    var (m, n) = (try size(rows), try size(columns))
    precondition(matrix.count == rows * columns)
    prepare
    let count = min(rows, columns)
    var a = transposed(matrix, rows: rows, columns: columns)
    var reflections = [Scalar](repeating: 0, count: count)
    var info: Int32 = 0
    var work = try workspace("geqrf") { work, length, info in
      Scalar.reflect(&m, &n, &a, &reflections, &work, length, &info)
    }
    Scalar.reflect(&m, &n, &a, &reflections, &work, Int32(work.count), &info)
    guard info == 0 else { throw .refused(routine: "geqrf", code: Int(info)) }
    var r = transposed(a, rows: columns, columns: rows)
    r.removeLast((rows - count) * columns)
    for row in 0..<count {
      for column in 0..<row { r[row * columns + column] = 0 }
    }
    var k = Int32(count)
    work = try workspace("orgqr") { work, length, info in Scalar.assemble(&m, &k, &a, reflections, &work, length, &info) }
    Scalar.assemble(&m, &k, &a, reflections, &work, Int32(work.count), &info)
    guard info == 0 else { throw .refused(routine: "orgqr", code: Int(info)) }
    return (transposed(Array(a[..<(rows * count)]), rows: count, columns: rows), r)
  }

  /// The memory that a routine asks for when it is called with a length of -1.
  private static func workspace<Scalar: LinearAlgebraScalar>(
    _ routine: String, _ query: (inout [Scalar], Int32, inout Int32) -> Void
  ) throws(LinearAlgebraError) -> [Scalar] {
    var answer: [Scalar] = [0]
    var info: Int32 = 0
    query(&answer, -1, &info)
    guard info == 0 else { throw .refused(routine: routine, code: Int(info)) }
    // A length in single precision may have been rounded down.
    guard let length = Int32(exactly: answer[0].nextUp.rounded(.up)) else { throw .size(Int(answer[0])) }
    return [Scalar](repeating: 0, count: Int(max(length, 1)))
  }
}
