// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// The direction of the input that B A stretches most.
enum ArrowPrototype {
  private static let iterations = 15
  private static let epsilon = 1e-8

  /// A vector [in] of length 1; its sign means nothing.
  ///
  /// - Parameter seed: PEFT's `rng_seed`. With it, 15 steps of the power iteration from torch's `randn`, as PEFT computes it,
  ///   converged or not. Without, PEFT's result differs from run to run: here, what it converges to.
  static func direction(
    _ factors: LoRA.Factors, _ size: BaseShape.Size, seed: Int?, _ location: String
  ) throws(AdapterError) -> [Float] {
    guard let seed else { return try exact(factors, size, location) }
    let (a, b, rank) = (factors.a.floats(), factors.b.floats(), factors.a.rows)
    // C = B' B
    var gram = [Double](repeating: 0, count: rank * rank)
    for row in 0..<size.out {
      for r in 0..<rank {
        for s in 0..<rank { gram[r * rank + s] += Double(b[row * rank + r]) * Double(b[row * rank + s]) }
      }
    }
    var generator = TorchGenerator(seed: seed)
    var v = normalized(generator.normal(size.in, mean: 0, deviation: 1).map { Double($0) })
    for _ in 0..<iterations {
      var hidden = [Double](repeating: 0, count: rank)
      for r in 0..<rank {
        for i in 0..<size.in { hidden[r] += Double(a[r * size.in + i]) * v[i] }
      }
      var next = [Double](repeating: 0, count: size.in)
      for r in 0..<rank {
        var factor = 0.0
        for s in 0..<rank { factor += gram[r * rank + s] * hidden[s] }
        for i in 0..<size.in { next[i] += factor * Double(a[r * size.in + i]) }
      }
      v = normalized(next)
    }
    return v.map { Float($0) }
  }

  private static func normalized(_ v: [Double]) -> [Double] {
    let length = v.reduce(0) { $0 + $1 * $1 }.squareRoot() + epsilon
    return v.map { $0 / length }
  }

  /// With A' = Q R, B A = (B R') Q': the first right singular vector of B R', turned by Q.
  private static func exact(
    _ factors: LoRA.Factors, _ size: BaseShape.Size, _ location: String
  ) throws(AdapterError) -> [Float] {
    let (a, rank) = (factors.a.floats().map { Double($0) }, factors.a.rows)
    do throws(LinearAlgebraError) {
      let (q, r) = try LinearAlgebra.qr(LinearAlgebra.transposed(a, rows: rank, columns: size.in), rows: size.in, columns: rank)
      let count = min(size.in, rank)
      let small = try LinearAlgebra.product(
        factors.b.floats().map { Double($0) }, transposed: false, r, transposed: true, rows: size.out, inner: rank,
        columns: count)
      let first = Array(try LinearAlgebra.singularValues(of: small, rows: size.out, columns: count).vT[..<count])
      return try LinearAlgebra.product(q, first, rows: size.in, inner: count, columns: 1).map { Float($0) }
    } catch { throw .linearAlgebra(location: location, error) }
  }
}
