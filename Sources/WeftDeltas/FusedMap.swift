// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// A linear map with the operators of a mixture worked into its weight and bias: what fusing writes, and the definition that
/// the arithmetic of the token loop is tested against. Sums in Float64, rounded once.
package struct FusedMap: Sendable {
  /// [out * in], row-major.
  package let weight: [Float]
  /// [out]; nil when there is none.
  package let bias: [Float]?

  /// One adapter's operators of the map, with its weight in the mixture.
  package typealias Term = (weight: Float, operators: [DeltaOperator])

  /// - Parameters:
  ///   - weight: W [out * in], row-major.
  ///   - bias: [out], or nil.
  ///   - averagesScales: how factors of scales that leave it to the mixture meet (see `ScaleDelta.Combination`).
  /// Throws for gated operators, whose change depends on the token, and for operators that do not fit.
  package init(
    weight: [Float], bias: [Float]?, size: BaseShape.Size, terms: [Term], averagesScales: Bool = false
  ) throws(DeltaError) {
    var map = Matrix(values: weight.map { Double($0) }, bias: bias?.map { Double($0) }, size: size)
    let operators = terms.flatMap { term in term.operators.map { (weight: Double(term.weight), delta: $0) } }
    for (_, delta) in operators {
      guard delta.fits(size) else {
        throw .malformed(
          factor: delta.name, expected: "[\(size.out), \(size.in)]",
          found: "[\(delta.size.out.map { "\($0)" } ?? "any"), \(delta.size.in.map { "\($0)" } ?? "any")]")
      }
      if case .gated = delta { throw .notFusable(operator: delta.name) }
      if case .replace(let replacement) = delta { map.values = replacement.weight.floats().map { Double($0) } }
    }
    // x' = T_n ... T_1 S x, so that the last transform meets the weight first.
    for (_, delta) in operators.reversed() {
      if case .rotate(let rotation) = delta, rotation.form.isOfInput { map.rotateInput(rotation.form) }
    }
    map.scale(.input, operators, averagesScales)
    map.scale(.product, operators, averagesScales)
    for (weight, delta) in operators { delta.addMatrix(to: &map.values, weight: weight) }
    for (weight, delta) in operators {
      if case .bias(let change) = delta { map.add(change, weight: weight) }
    }
    map.scale(.output, operators, averagesScales)
    for (weight, delta) in operators {
      if case .scale(let scale) = delta, let shift = scale.shift { map.add(try BiasDelta(shift), weight: weight) }
      if case .rotate(let rotation) = delta, !rotation.form.isOfInput { map.rotateOutput(rotation.form) }
    }
    self.weight = map.values.map { Float($0) }
    self.bias = map.bias?.map { Float($0) }
  }

  private struct Matrix {
    var values: [Double]
    var bias: [Double]?
    let size: BaseShape.Size

    mutating func add(_ change: BiasDelta, weight: Double) {
      var sum = change.isReplacement ? [Double](repeating: 0, count: size.out) : bias ?? [Double](repeating: 0, count: size.out)
      for o in 0..<size.out { sum[o] += weight * Double(change.values[o]) }
      bias = sum
    }

    mutating func scale(
      _ place: ScaleDelta.Place, _ operators: [(weight: Double, delta: DeltaOperator)], _ averages: Bool
    ) {
      let count = place == .input ? size.in : size.out
      var product = [Double](repeating: 1, count: count)
      var sum = [Double](repeating: 1, count: count)
      for (weight, delta) in operators {
        guard case .scale(let scale) = delta, scale.place == place else { continue }
        for i in 0..<count {
          let change = weight * (Double(scale.factors[i]) - 1)
          if averages || scale.combination == .sum { sum[i] += change } else { product[i] *= 1 + change }
        }
      }
      for o in 0..<size.out {
        for i in 0..<size.in {
          let index = place == .input ? i : o
          values[o * size.in + i] *= product[index] * sum[index]
        }
        if place == .output { bias?[o] *= product[o] * sum[o] }
      }
    }

    /// W <- W T for x <- T x.
    mutating func rotateInput(_ form: RotationDelta.Form) {
      switch form {
      case .blocks(let blocks, let order):
        let (r, b) = (blocks.floats(), blocks.shape[1])
        for o in 0..<size.out {
          let row = (0..<size.in).map { i in values[o * size.in + (order.map { Int($0[i]) } ?? i)] }
          for i in 0..<size.in {
            let block = i / b
            var sum = 0.0
            for j in 0..<b { sum += row[block * b + j] * Double(r[(block * b + j) * b + i % b]) }
            values[o * size.in + (order.map { Int($0[i]) } ?? i)] = sum
          }
        }
      case .reflections(let units):
        let u = units.floats()
        for r in 0..<units.rows {
          for o in 0..<size.out {
            var dot = 0.0
            for i in 0..<size.in { dot += values[o * size.in + i] * Double(u[r * size.in + i]) }
            for i in 0..<size.in { values[o * size.in + i] -= 2 * dot * Double(u[r * size.in + i]) }
          }
        }
      case .planes: break
      }
    }

    /// W <- T W and b <- T b for y <- T y.
    mutating func rotateOutput(_ form: RotationDelta.Form) {
      guard case .planes(let cosines, let sines, let group) = form else { return }
      let (before, oldBias) = (values, bias)
      for o in 0..<size.out {
        let half = group / 2
        let isFirst = o % group < half
        let (other, sign) = (isFirst ? o + half : o - half, isFirst ? -1.0 : 1.0)
        let (c, s) = (Double(cosines[o]), sign * Double(sines[o]))
        for i in 0..<size.in { values[o * size.in + i] = c * before[o * size.in + i] + s * before[other * size.in + i] }
        if let oldBias { bias?[o] = c * oldBias[o] + s * oldBias[other] }
      }
    }
  }
}
