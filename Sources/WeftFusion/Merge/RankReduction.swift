// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// The best change of a given rank, by singular values.
enum RankReduction {
  /// B A [out, in] with at most `rank` of its directions, scale 1: B = U diag(sigma), A = V^T, as peft's `svd` splits them.
  ///
  /// Through QR of both factors and the SVD of their small core: the product itself is never made.
  static func reduced(_ factors: MergeFactors, out: Int, in width: Int, rank: Int) throws(MergeError) -> MergeFactors {
    guard factors.rank > rank else { return factors }
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
      return MergeFactors(a: newA.map { Float($0) }, b: newB.map { Float($0) }, rank: kept, scale: 1)
    } catch { throw .linearAlgebra(error) }
  }

  /// The same of a matrix [out * in].
  static func reduced(_ change: [Float], out: Int, in width: Int, rank: Int) throws(MergeError) -> MergeFactors {
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
    return MergeFactors(a: Array(parts.vT[..<(kept * width)]), b: b, rank: kept, scale: 1)
  }
}
