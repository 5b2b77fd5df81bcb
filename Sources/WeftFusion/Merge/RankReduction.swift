// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// The best change of a given rank, by singular values.
enum RankReduction {
  /// A change of a given rank, and the squared size of all that it was made of and of what it keeps.
  struct Result {
    let factors: MergeFactors
    let whole: Double
    let kept: Double
  }

  /// B A [out, in] with at most `rank` of its directions, scale 1: B = U diag(sigma), A = V^T, as peft's `svd` splits them.
  ///
  /// Through QR of both factors and the SVD of their small core: the product itself is never made.
  static func reduced(_ factors: MergeFactors, out: Int, in width: Int, rank: Int) throws(MergeError) -> Result {
    guard factors.rank > rank else { return Result(factors: factors, whole: 0, kept: 0) }
    do throws(LinearAlgebraError) {
      let scale = Double(factors.scale)
      let b = try LinearAlgebra.qr(factors.b.map(Double.init), rows: out, columns: factors.rank)
      let wide = LinearAlgebra.transposed(factors.a.map { Double($0) * scale }, rows: factors.rank, columns: width)
      let a = try LinearAlgebra.qr(wide, rows: width, columns: factors.rank)
      let (left, right) = (min(out, factors.rank), min(width, factors.rank))
      let core = try LinearAlgebra.product(
        b.r, transposed: false, a.r, transposed: true, rows: left, inner: factors.rank, columns: right)
      let parts = try LinearAlgebra.singularValues(of: core, rows: left, columns: right)
      let count = parts.values.count
      let kept = min(rank, count)
      var u = [Double](repeating: 0, count: left * kept)
      for row in 0..<left {
        for r in 0..<kept { u[row * kept + r] = parts.u[row * count + r] * parts.values[r] }
      }
      let newB = try LinearAlgebra.product(b.q, u, rows: out, inner: left, columns: kept)
      let newA = try LinearAlgebra.product(
        Array(parts.vT[..<(kept * right)]), transposed: false, a.q, transposed: true, rows: kept, inner: right, columns: width)
      return result(
        MergeFactors(a: newA.map { Float($0) }, b: newB.map { Float($0) }, rank: kept, scale: 1), parts.values)
    } catch { throw .linearAlgebra(error) }
  }

  /// The same of a matrix [out * in].
  static func reduced(_ change: [Float], out: Int, in width: Int, rank: Int) throws(MergeError) -> Result {
    let parts: SingularValues<Float>
    do { parts = try LinearAlgebra.singularValues(of: change, rows: out, columns: width) } catch {
      throw .linearAlgebra(error)
    }
    let count = parts.values.count
    let kept = min(rank, count)
    var b = [Float](repeating: 0, count: out * kept)
    for row in 0..<out {
      for r in 0..<kept { b[row * kept + r] = parts.u[row * count + r] * parts.values[r] }
    }
    return result(
      MergeFactors(a: Array(parts.vT[..<(kept * width)]), b: b, rank: kept, scale: 1), parts.values.map { Double($0) })
  }

  private static func result(_ factors: MergeFactors, _ values: [Double]) -> Result {
    Result(
      factors: factors, whole: values.reduce(0) { $0 + $1 * $1 },
      kept: values.prefix(factors.rank).reduce(0) { $0 + $1 * $1 })
  }
}
