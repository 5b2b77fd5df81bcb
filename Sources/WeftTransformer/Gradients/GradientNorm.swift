// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas

/// A norm over rows, forward and backward.
struct GradientNorm {
  let kind: ModelConfig.NormKind
  let epsilon: Float
  let weight: [Float]
  /// Of a layer norm that has one.
  let bias: [Float]?

  func forward(_ x: FloatRows) -> FloatRows {
    var y = x
    for row in 0..<x.count {
      let range = row * x.width..<(row + 1) * x.width
      let (mean, scale) = moments(x.values[range])
      for (column, index) in range.enumerated() {
        y.values[index] = (x.values[index] - mean) * scale * weight[column] + (bias?[column] ?? 0)
      }
    }
    return y
  }

  /// The gradient of what was normalised, from that of the result.
  ///
  /// With n = (x - mean) s and g = w dy: s (g - mean(g) - n mean(g n)), without the means of x and g for a root mean square.
  func backward(_ dy: FloatRows, _ x: FloatRows) -> FloatRows {
    var dx = dy
    for row in 0..<x.count {
      let range = row * x.width..<(row + 1) * x.width
      let (mean, scale) = moments(x.values[range])
      var (sum, product) = (0.0, 0.0)
      for (column, index) in range.enumerated() {
        let g = Double(weight[column] * dy.values[index])
        sum += g
        product += g * Double((x.values[index] - mean) * scale)
      }
      let meanOfG = kind == .layer ? Float(sum / Double(x.width)) : 0
      let meanOfProduct = Float(product / Double(x.width))
      for (column, index) in range.enumerated() {
        dx.values[index] =
          scale * (weight[column] * dy.values[index] - meanOfG - (x.values[index] - mean) * scale * meanOfProduct)
      }
    }
    return dx
  }

  /// What is taken from a row, and what it is multiplied by.
  private func moments(_ x: ArraySlice<Float>) -> (mean: Float, scale: Float) {
    let count = Double(x.count)
    let mean = kind == .layer ? x.reduce(0.0) { $0 + Double($1) } / count : 0
    let variance = x.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / count
    return (Float(mean), Float(1 / (variance + Double(epsilon)).squareRoot()))
  }
}
