// SPDX-License-Identifier: Apache-2.0

import Synchronization
import TestSupport
import Testing
import WeftTensors

struct LinearAlgebraTests {
  static let sizes = [(1, 1), (1, 5), (5, 1), (3, 4), (4, 3), (17, 40), (40, 17), (64, 64), (33, 65)]

  @Test(arguments: sizes) func factorsOfDoubles(rows: Int, columns: Int) throws {
    // Measured: 3.6e-15 over all sizes.
    try checkFactors(Double.self, rows, columns, tolerance: 7.2e-15)
  }

  @Test(arguments: sizes) func factorsOfFloats(rows: Int, columns: Int) throws {
    // Measured: 1.4e-6 over all sizes.
    try checkFactors(Float.self, rows, columns, tolerance: 2.8e-6)
  }

  /// U S V^T = W and Q R = W, with orthonormal U, V and Q, ordered values and a triangular R.
  private func checkFactors<Scalar: LinearAlgebraScalar>(
    _: Scalar.Type, _ rows: Int, _ columns: Int, tolerance: Scalar
  ) throws {
    let w: [Scalar] = numbers(rows * columns, seed: UInt64(rows * 100 + columns))
    let count = min(rows, columns)
    let parts = try LinearAlgebra.singularValues(of: w, rows: rows, columns: columns)
    #expect(parts.values.count == count && parts.values.allSatisfy { $0 >= 0 })
    #expect(parts.values == parts.values.sorted(by: >))
    let scaled = parts.u.indices.map { parts.u[$0] * parts.values[$0 % count] }
    let scale = parts.values[0]
    #expect(largest(plainProduct(scaled, parts.vT, rows, count, columns), w) <= tolerance * scale)
    #expect(largest(gram(parts.u, rows, count), identity(count)) <= tolerance)
    let v = LinearAlgebra.transposed(parts.vT, rows: count, columns: columns)
    #expect(largest(gram(v, columns, count), identity(count)) <= tolerance)

    let (q, r) = try LinearAlgebra.qr(w, rows: rows, columns: columns)
    #expect(largest(plainProduct(q, r, rows, count, columns), w) <= tolerance * scale)
    #expect(largest(gram(q, rows, count), identity(count)) <= tolerance)
    for row in 0..<count { #expect(r[(row * columns)..<(row * columns + min(row, columns))].allSatisfy { $0 == 0 }) }
  }

  @Test(arguments: [(1, 1, 1), (2, 3, 4), (7, 5, 3), (33, 65, 17)]) func products(rows: Int, inner: Int, columns: Int) throws {
    let a: [Double] = numbers(rows * inner, seed: 1)
    let b: [Double] = numbers(inner * columns, seed: 2)
    let expected = plainProduct(a, b, rows, inner, columns)
    let aT = LinearAlgebra.transposed(a, rows: rows, columns: inner)
    let bT = LinearAlgebra.transposed(b, rows: inner, columns: columns)
    for (left, isLeftTransposed) in [(a, false), (aT, true)] {
      for (right, isRightTransposed) in [(b, false), (bT, true)] {
        let found = try LinearAlgebra.product(
          left, transposed: isLeftTransposed, right, transposed: isRightTransposed, rows: rows, inner: inner, columns: columns)
        // Measured: 0, as the sums of products of 24 bits almost fit; one rounding of a sum below 16 is 1.8e-15.
        #expect(largest(found, expected) <= 1.8e-15)
      }
    }
    let floats = try LinearAlgebra.product(
      a.map { Float($0) }, b.map { Float($0) }, rows: rows, inner: inner, columns: columns)
    // Measured: 2.0e-6.
    #expect(largest(floats.map { Double($0) }, expected) <= 4e-6)
  }

  @Test func solutions() throws {
    for (size, columns) in [(1, 1), (3, 2), (40, 7)] {
      let a: [Double] = numbers(size * size, seed: 3)
      let x: [Double] = numbers(size * columns, seed: 4)
      let b = plainProduct(a, x, size, size, columns)
      // Measured: 1.2e-14 for doubles, 1.1e-5 for floats.
      #expect(largest(try LinearAlgebra.solve(a, size: size, b, columns: columns), x) <= 2.4e-14)
      let floats = try LinearAlgebra.solve(a.map { Float($0) }, size: size, b.map { Float($0) }, columns: columns)
      #expect(largest(floats.map { Double($0) }, x) <= 2.2e-5)
    }
  }

  /// numpy 2.4.6: rng = default_rng(7); a = rng.integers(-9, 10, (3, 4)); svd(a, full_matrices=False); qr(a.T);
  /// m = rng.integers(-9, 10, (3, 3)); solve(m, a); m @ a. Signs included: they are LAPACK's.
  /// Measured: 0 here; other processors sum in another order.
  @Test func valuesOfNumpy() throws {
    let a: [Double] = [8, 2, 3, 8, 1, 5, 6, -5, -8, -4, -4, 7]
    let parts = try LinearAlgebra.singularValues(of: a, rows: 3, columns: 4)
    let u = [
      0.27733311544669564, -0.9466202460700097, -0.16430597313239678, 0.5382077246614244, 0.2947312713962663,
      -0.7895985833168098, -0.7958761135952016, -0.13055109111567978, -0.5912170704716696,
    ]
    let vT = [
      0.6242935573432449, 0.43991298276780466, 0.4957156462558424, -0.413521607548145, -0.5299216935723879,
      0.008723490337813916, -0.04669196926952868, -0.8467152764674977, 0.5726204844819927, -0.4169187702004701,
      -0.6249498967290352, -0.3282105214408946,
    ]
    #expect(largest(parts.u, u) <= 1e-14)
    #expect(largest(parts.values, [14.614729640690763, 11.763666299852703, 4.585393408991713]) <= 1e-14)
    #expect(largest(parts.vT, vT) <= 1e-14)

    let (q, r) = try LinearAlgebra.qr(LinearAlgebra.transposed(a, rows: 3, columns: 4), rows: 4, columns: 3)
    let expectedQ = [
      -0.673721536853215, -0.13162875599792073, 0.7261038683837768, -0.16843038421330378, -0.5424930810781361,
      -0.21154965207469012, -0.25264557631995566, -0.6528177609607866, -0.38532544569344096, -0.6737215368532151,
      0.5120586866277498, -0.528719413230064,
    ]
    let expectedR = [
      -11.874342087037919, 0.33686076842660784, 2.35802537898625, 0, -9.32129416029207, 9.418684222533305, 0, 0,
      -7.122366448608137,
    ]
    #expect(largest(q, expectedQ) <= 1e-14)
    #expect(largest(r, expectedR) <= 1e-14)

    let m: [Double] = [8, -9, 0, 6, -7, 6, -7, -1, 6]
    let x = [
      0.4782608695652174, 1, 1.0434782608695652, -2.2608695652173916, -0.46376811594202894, 0.6666666666666666,
      0.5942028985507246, -2.8985507246376816, -0.8526570048309178, 0.611111111111111, 0.6497584541062801,
      -1.9541062801932367,
    ]
    #expect(largest(try LinearAlgebra.solve(m, size: 3, a, columns: 4), x) <= 1e-14)
    let product = try LinearAlgebra.product(m, a, rows: 3, inner: 3, columns: 4)
    #expect(product == [55, -29, -30, 109, -7, -47, -48, 125, -105, -43, -51, -9])
  }

  @Test func refused() {
    let none: [Double] = []
    #expect(throws: LinearAlgebraError.size(0)) { try LinearAlgebra.singularValues(of: none, rows: 0, columns: 4) }
    #expect(throws: LinearAlgebraError.size(1 << 31)) { try LinearAlgebra.qr(none, rows: 4, columns: 1 << 31) }
    #expect(throws: LinearAlgebraError.size(-1)) { try LinearAlgebra.solve(none, size: -1, none, columns: 1) }
    #expect(throws: LinearAlgebraError.size(0)) { try LinearAlgebra.product(none, none, rows: 1, inner: 0, columns: 1) }
    #expect(throws: LinearAlgebraError.nonFinite(index: 1)) {
      try LinearAlgebra.singularValues(of: [1, Float.nan, 2, 3], rows: 2, columns: 2)
    }
    #expect(throws: LinearAlgebraError.singular(pivot: 1)) {
      try LinearAlgebra.solve([1, 2, 2, 4], size: 2, [1.0, 1.0], columns: 1)
    }
  }

  /// OpenBLAS is called from every thread of a region, as it may be when adapters are read beside a running engine.
  @Test func besideTheThreadPool() throws {
    let pool = try ThreadPool(threads: 4)
    let w: [Float] = numbers(96 * 64, seed: 5)
    let expected = try LinearAlgebra.singularValues(of: w, rows: 96, columns: 64).values
    let found = Mutex<[[Float]]>([])
    pool.run { _ in
      let values = (try? LinearAlgebra.singularValues(of: w, rows: 96, columns: 64).values) ?? []
      found.withLock { $0.append(values) }
    }
    #expect(found.withLock { $0 } == Array(repeating: expected, count: 4))
  }

  private func numbers<Scalar: LinearAlgebraScalar>(_ count: Int, seed: UInt64) -> [Scalar] {
    var generator = SeededGenerator(seed: seed)
    return generator.floats(count).map { Scalar($0) }
  }

  private func identity<Scalar: LinearAlgebraScalar>(_ size: Int) -> [Scalar] {
    (0..<size * size).map { $0 / size == $0 % size ? 1 : 0 }
  }

  /// M^T M of M [rows, columns].
  private func gram<Scalar: LinearAlgebraScalar>(_ m: [Scalar], _ rows: Int, _ columns: Int) -> [Scalar] {
    plainProduct(LinearAlgebra.transposed(m, rows: rows, columns: columns), m, columns, rows, columns)
  }

  private func plainProduct<Scalar: LinearAlgebraScalar>(
    _ a: [Scalar], _ b: [Scalar], _ rows: Int, _ inner: Int, _ columns: Int
  ) -> [Scalar] {
    (0..<rows * columns).map { index in
      (0..<inner).reduce(0) { $0 + a[index / columns * inner + $1] * b[$1 * columns + index % columns] }
    }
  }

  private func largest<Scalar: LinearAlgebraScalar>(_ found: [Scalar], _ expected: [Scalar]) -> Scalar {
    guard found.count == expected.count else { return .infinity }
    return zip(found, expected).reduce(0) { max($0, ($1.0 - $1.1).isNaN ? .infinity : abs($1.0 - $1.1)) }
  }
}
