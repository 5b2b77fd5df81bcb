// SPDX-License-Identifier: Apache-2.0

/// ComPEFT (https://arxiv.org/abs/2311.13171): the signs of the largest elements of all factors together, times one number.
///
/// The factors are those of the file, without their scale, as the paper's repository takes them.
package enum ComPEFT {
  /// What it makes of an adapter.
  package struct Result: Sendable {
    /// A and B of each module.
    package let modules: [(a: TernaryMatrix, b: TernaryMatrix)]
    /// The standard deviation of all elements, unbiased.
    package let deviation: Double
  }

  /// The densities and alphas that the paper searches.
  package static let densities: [Double] = [0.05, 0.1, 0.2, 0.3, 0.5]
  package static let alphas: [Double] = [0.5, 1, 2, 3, 4, 5, 6, 8, 10]

  /// Keeps the elements whose magnitude is at least the (d - int(d k))-th smallest of all d, counted from 1: int(d k) + 1 of them,
  /// and those that are as large as the smallest of these. With density 1, all.
  package static func ternary(_ modules: [ModuleFactors], density: Double) -> Result {
    let unscaled = modules.map { module in
      (a: module.a, b: module.scale == 1 ? module.b : module.b.map { $0 / module.scale })
    }
    var count = 0
    var sum = 0.0
    var magnitudes: [Float] = []
    magnitudes.reserveCapacity(modules.reduce(0) { $0 + $1.elementCount })
    for module in unscaled {
      for value in module.a { magnitudes.append(value.magnitude) }
      for value in module.b { magnitudes.append(value.magnitude) }
      count += module.a.count + module.b.count
      sum += module.a.reduce(0.0) { $0 + Double($1) } + module.b.reduce(0.0) { $0 + Double($1) }
    }
    let mean = sum / Double(max(count, 1))
    var squares = 0.0
    for module in unscaled {
      for value in module.a { squares += (Double(value) - mean) * (Double(value) - mean) }
      for value in module.b { squares += (Double(value) - mean) * (Double(value) - mean) }
    }
    let deviation = (squares / Double(max(count - 1, 1))).squareRoot()
    let kept = Int(Double(count) * density)
    var threshold: Float = 0
    if kept < count {
      magnitudes.sort()
      threshold = magnitudes[max(0, count - kept - 1)]
    }
    func codes(_ values: [Float]) -> [Int8] {
      values.map { value in value == 0 || value.magnitude < threshold ? 0 : value < 0 ? -1 : 1 }
    }
    return Result(
      modules: zip(modules, unscaled).map { module, values in
        (
          a: TernaryMatrix(rows: module.rank, columns: module.inputSize, codes: codes(values.a)),
          b: TernaryMatrix(rows: module.outputSize, columns: module.rank, codes: codes(values.b))
        )
      }, deviation: deviation)
  }
}
