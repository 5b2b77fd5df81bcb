// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

/// Minimises a function of some numbers from its values alone: one parent, one child, and a covariance that learns which steps
/// succeed, by its Cholesky factor ((1+1)-CMA-ES; Igel, Suttorp and Hansen, "A computational efficient covariance matrix update
/// and a (1+1)-CMA for evolution strategies", GECCO 2006).
///
/// Same seed, same values: same result.
package struct EvolutionStrategy: Sendable {
  /// What every number may be; steps beyond it end at its ends.
  package let range: ClosedRange<Double>
  /// The first steps, one standard deviation.
  package let step: Double
  /// How often the function may be asked, the start included.
  package let evaluations: Int
  package let seed: UInt64

  package init(range: ClosedRange<Double>, step: Double, evaluations: Int, seed: UInt64) {
    self.range = range
    self.step = step
    self.evaluations = evaluations
    self.seed = seed
  }

  /// - Parameter value: of a point; asked in turn.
  /// - Returns: the best point and its value.
  package func minimize(
    from start: [Double], _ value: ([Double]) throws(EngineError) -> Double
  ) throws(EngineError) -> (point: [Double], value: Double) {
    let count = start.count
    var random = RandomSource(seed: seed)
    var best = (point: start, value: try value(start))
    var deviation = step
    var factor = [Double](repeating: 0, count: count * count)
    for index in 0..<count { factor[index * (count + 1)] = 1 }
    let (target, threshold) = (2.0 / 11, 0.44)
    let damping = 1 + Double(count) / 2
    let shrink = 1 - 2 / (Double(count * count) + 6)
    var success = target
    for _ in 1..<max(evaluations, 1) {
      let z = (0..<count).map { _ in EvolutionStrategy.normal(&random) }
      let direction = (0..<count).map { row in (0..<count).reduce(0) { $0 + factor[row * count + $1] * z[$1] } }
      let child = (0..<count).map { min(max(best.point[$0] + deviation * direction[$0], range.lowerBound), range.upperBound) }
      let childValue = try value(child)
      let succeeds = childValue <= best.value
      if succeeds { best = (child, childValue) }
      success = success * 11 / 12 + (succeeds ? 1.0 / 12 : 0)
      deviation *= exp((success - target) / (1 - target) / damping)
      guard succeeds, success < threshold else { continue }
      let square = z.reduce(0) { $0 + $1 * $1 }
      guard square > 0 else { continue }
      let stretch = shrink.squareRoot() / square * ((1 + (1 - shrink) * square / shrink).squareRoot() - 1)
      for row in 0..<count {
        for column in 0..<count {
          factor[row * count + column] =
            shrink.squareRoot() * factor[row * count + column] + stretch * direction[row] * z[column]
        }
      }
    }
    return best
  }

  /// Nearly normal, the same on every machine: twelve uniform numbers added up.
  private static func normal(_ random: inout RandomSource) -> Double {
    (0..<12).reduce(-6.0) { sum, _ in sum + Double(random.unitFloat()) }
  }
}
