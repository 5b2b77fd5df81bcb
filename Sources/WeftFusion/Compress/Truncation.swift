// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// The change of a module by its singular values, without the matrix: QR of both factors, then the SVD of the small core.
package struct Truncation: Sendable {
  /// From the largest to the smallest.
  package let values: [Double]
  /// U [out * count]; orthonormal columns.
  let u: [Double]
  /// V^T [count * in]; orthonormal rows.
  let vT: [Double]
  private let source: ModuleFactors

  package init(_ module: ModuleFactors) throws(CompressionError) {
    source = module
    let (out, width, rank) = (module.outputSize, module.inputSize, module.rank)
    do throws(LinearAlgebraError) {
      let b = try LinearAlgebra.qr(module.b.map(Double.init), rows: out, columns: rank)
      let a = try LinearAlgebra.qr(
        LinearAlgebra.transposed(module.a.map(Double.init), rows: rank, columns: width), rows: width, columns: rank)
      let (left, right) = (min(out, rank), min(width, rank))
      let core = try LinearAlgebra.product(
        b.r, transposed: false, a.r, transposed: true, rows: left, inner: rank, columns: right)
      let parts = try LinearAlgebra.singularValues(of: core, rows: left, columns: right)
      values = parts.values
      u = try LinearAlgebra.product(b.q, parts.u, rows: out, inner: left, columns: values.count)
      vT = try LinearAlgebra.product(
        parts.vT, transposed: false, a.q, transposed: true, rows: values.count, inner: right, columns: width)
    } catch { throw .linearAlgebra(error) }
  }

  /// The smallest rank whose squared singular values sum up to this share of all, as peft's `convert_to_lora` chooses it.
  package func rank(energy share: Double) -> Int {
    let squares = values.map { $0 * $0 }
    let wanted = share * squares.reduce(0, +)
    var sum = 0.0
    for (index, square) in squares.enumerated() {
      sum += square
      if sum >= wanted { return index + 1 }
    }
    return squares.count
  }

  /// The best change of this rank: each factor has the square roots of the singular values.
  package func factors(rank wanted: Int) -> ModuleFactors {
    let (a, b, rank) = balanced(rank: wanted)
    return source.with(a: a.map { Float($0) }, b: b.map { Float($0) }, rank: rank)
  }

  /// The same in f64; the rank is at most that of the change.
  func balanced(rank wanted: Int) -> (a: [Double], b: [Double], rank: Int) {
    let (count, width, out) = (values.count, source.inputSize, source.outputSize)
    let rank = max(1, min(wanted, count))
    let roots = values.map { $0.squareRoot() }
    var a = Array(vT[..<(rank * width)])
    for r in 0..<rank { for i in 0..<width { a[r * width + i] *= roots[r] } }
    var b = [Double](repeating: 0, count: out * rank)
    for o in 0..<out { for r in 0..<rank { b[o * rank + r] = u[o * count + r] * roots[r] } }
    return (a, b, rank)
  }
}
