// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Orthogonal matrices from skew-symmetric ones, as OFT, BOFT and PSOFT have them. Matrices are [size * size], row-major.
enum CayleyTransform {
  /// Q of its strict upper triangle, row by row: the `index`-th of several in `triangles`.
  static func skew(_ triangles: [Double], index: Int, size: Int) -> [Double] {
    var q = [Double](repeating: 0, count: size * size)
    var next = index * (size * (size - 1) / 2)
    for row in 0..<size {
      for column in row + 1..<max(size, row + 1) {
        q[row * size + column] = triangles[next]
        q[column * size + row] = -triangles[next]
        next += 1
      }
    }
    return q
  }

  /// (I - Q) (I + Q)^-1.
  static func exact(_ q: [Double], size: Int) throws(LinearAlgebraError) -> [Double] {
    var (plus, minus) = (q, q.map { -$0 })
    for i in 0..<size {
      plus[i * size + i] += 1
      minus[i * size + i] += 1
    }
    // The two factors commute.
    return try LinearAlgebra.solve(plus, size: size, minus, columns: size)
  }

  /// The first terms of (I + Q) (I - Q)^-1 as peft adds them up: I, I + 2 Q, then I + 2 Q + 2 Q^2 + ... + 2 Q^(terms - 2)
  /// + Q^(terms - 1), where three terms are the same as four.
  static func series(_ q: [Double], size: Int, terms: Int) throws(LinearAlgebraError) -> [Double] {
    var sum = [Double](repeating: 0, count: size * size)
    for i in 0..<size { sum[i * size + i] = 1 }
    guard terms > 1 else { return sum }
    var power = q
    let last = terms == 2 ? 1 : max(terms - 1, 3)
    for exponent in 1...last {
      if exponent > 1 { power = try LinearAlgebra.product(power, q, rows: size, inner: size, columns: size) }
      let factor: Double = exponent < last || terms == 2 ? 2 : 1
      for i in sum.indices { sum[i] += factor * power[i] }
    }
    return sum
  }
}
