// SPDX-License-Identifier: Apache-2.0

internal import CLAPACK

/// A type of numbers that LAPACK calculates with. Matrices lie by columns, without gaps between them.
package protocol LinearAlgebraScalar: BinaryFloatingPoint, Sendable {
  /// C [m, n] <- op(A) op(B); `lda` and `ldb` are the heights of A and B as they lie in memory.
  static func multiply(
    _ opA: Character, _ opB: Character, _ m: inout Int32, _ n: inout Int32, _ k: inout Int32, _ a: [Self], _ lda: Int32,
    _ b: [Self], _ ldb: Int32, _ c: inout [Self])
  /// B <- X of A X = B; A is overwritten.
  static func solve(
    _ n: inout Int32, _ columns: inout Int32, _ a: inout [Self], _ pivots: inout [Int32], _ b: inout [Self],
    _ info: inout Int32)
  /// The thin singular value decomposition of A [m, n], which is overwritten.
  static func decompose(
    _ m: inout Int32, _ n: inout Int32, _ a: inout [Self], _ values: inout [Self], _ u: inout [Self], _ vT: inout [Self],
    _ work: inout [Self], _ length: Int32, _ integers: inout [Int32], _ info: inout Int32)
  /// A [m, n] <- R above the Householder vectors whose factors are `reflections`.
  static func reflect(
    _ m: inout Int32, _ n: inout Int32, _ a: inout [Self], _ reflections: inout [Self], _ work: inout [Self], _ length: Int32,
    _ info: inout Int32)
  /// A [m, count] <- Q of the Householder vectors in it.
  static func assemble(
    _ m: inout Int32, _ count: inout Int32, _ a: inout [Self], _ reflections: [Self], _ work: inout [Self], _ length: Int32,
    _ info: inout Int32)

  // Loops over all elements are requirements too, so that each type has a version of its own in this module.

  /// [columns, rows] of [rows, columns]
  static func transposed(_ matrix: [Self], rows: Int, columns: Int) -> [Self]
  /// The first element that is infinite or not a number.
  static func firstNonFinite(in matrix: [Self]) -> Int?
}

extension LinearAlgebraScalar {
  package static func transposed(_ matrix: [Self], rows: Int, columns: Int) -> [Self] {
    precondition(matrix.count == rows * columns)
    return [Self](unsafeUninitializedCapacity: matrix.count) { result, count in
      // In squares, so that both sides stay in the cache.
      for rowTile in stride(from: 0, to: rows, by: 32) {
        for columnTile in stride(from: 0, to: columns, by: 32) {
          for column in columnTile..<min(columnTile + 32, columns) {
            for row in rowTile..<min(rowTile + 32, rows) {
              result.initializeElement(at: column * rows + row, to: matrix[row * columns + column])
            }
          }
        }
      }
      count = matrix.count
    }
  }

  package static func firstNonFinite(in matrix: [Self]) -> Int? { matrix.firstIndex { !$0.isFinite } }
}

extension Float: LinearAlgebraScalar {
  package static func multiply(
    _ opA: Character, _ opB: Character, _ m: inout Int32, _ n: inout Int32, _ k: inout Int32, _ a: [Float], _ lda: Int32,
    _ b: [Float], _ ldb: Int32, _ c: inout [Float]
  ) {
    var (one, zero): (Float, Float) = (1, 0)
    var (lda, ldb, ldc) = (lda, ldb, m)
    var (opA, opB) = (letter(opA), letter(opB))
    sgemm_(&opA, &opB, &m, &n, &k, &one, a, &lda, b, &ldb, &zero, &c, &ldc, 1, 1)
  }

  package static func solve(
    _ n: inout Int32, _ columns: inout Int32, _ a: inout [Float], _ pivots: inout [Int32], _ b: inout [Float],
    _ info: inout Int32
  ) {
    var (lda, ldb) = (n, n)
    sgesv_(&n, &columns, &a, &lda, &pivots, &b, &ldb, &info)
  }

  package static func decompose(
    _ m: inout Int32, _ n: inout Int32, _ a: inout [Float], _ values: inout [Float], _ u: inout [Float], _ vT: inout [Float],
    _ work: inout [Float], _ length: Int32, _ integers: inout [Int32], _ info: inout Int32
  ) {
    var (lda, ldu, ldvt, length, job) = (m, m, min(m, n), length, letter("S"))
    sgesdd_(&job, &m, &n, &a, &lda, &values, &u, &ldu, &vT, &ldvt, &work, &length, &integers, &info, 1)
  }

  package static func reflect(
    _ m: inout Int32, _ n: inout Int32, _ a: inout [Float], _ reflections: inout [Float], _ work: inout [Float],
    _ length: Int32, _ info: inout Int32
  ) {
    var (lda, length) = (m, length)
    sgeqrf_(&m, &n, &a, &lda, &reflections, &work, &length, &info)
  }

  package static func assemble(
    _ m: inout Int32, _ count: inout Int32, _ a: inout [Float], _ reflections: [Float], _ work: inout [Float],
    _ length: Int32, _ info: inout Int32
  ) {
    var (columns, lda, length) = (count, m, length)
    sorgqr_(&m, &columns, &count, &a, &lda, reflections, &work, &length, &info)
  }
}

extension Double: LinearAlgebraScalar {
  package static func multiply(
    _ opA: Character, _ opB: Character, _ m: inout Int32, _ n: inout Int32, _ k: inout Int32, _ a: [Double], _ lda: Int32,
    _ b: [Double], _ ldb: Int32, _ c: inout [Double]
  ) {
    var (one, zero): (Double, Double) = (1, 0)
    var (lda, ldb, ldc) = (lda, ldb, m)
    var (opA, opB) = (letter(opA), letter(opB))
    dgemm_(&opA, &opB, &m, &n, &k, &one, a, &lda, b, &ldb, &zero, &c, &ldc, 1, 1)
  }

  package static func solve(
    _ n: inout Int32, _ columns: inout Int32, _ a: inout [Double], _ pivots: inout [Int32], _ b: inout [Double],
    _ info: inout Int32
  ) {
    var (lda, ldb) = (n, n)
    dgesv_(&n, &columns, &a, &lda, &pivots, &b, &ldb, &info)
  }

  package static func decompose(
    _ m: inout Int32, _ n: inout Int32, _ a: inout [Double], _ values: inout [Double], _ u: inout [Double],
    _ vT: inout [Double],
    _ work: inout [Double], _ length: Int32, _ integers: inout [Int32], _ info: inout Int32
  ) {
    var (lda, ldu, ldvt, length, job) = (m, m, min(m, n), length, letter("S"))
    dgesdd_(&job, &m, &n, &a, &lda, &values, &u, &ldu, &vT, &ldvt, &work, &length, &integers, &info, 1)
  }

  package static func reflect(
    _ m: inout Int32, _ n: inout Int32, _ a: inout [Double], _ reflections: inout [Double], _ work: inout [Double],
    _ length: Int32, _ info: inout Int32
  ) {
    var (lda, length) = (m, length)
    dgeqrf_(&m, &n, &a, &lda, &reflections, &work, &length, &info)
  }

  package static func assemble(
    _ m: inout Int32, _ count: inout Int32, _ a: inout [Double], _ reflections: [Double], _ work: inout [Double],
    _ length: Int32, _ info: inout Int32
  ) {
    var (columns, lda, length) = (count, m, length)
    dorgqr_(&m, &columns, &count, &a, &lda, reflections, &work, &length, &info)
  }
}

/// A letter that tells a routine what to do.
private func letter(_ character: Character) -> CChar { CChar(character.asciiValue ?? 0) }
