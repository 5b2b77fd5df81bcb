// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// Which elements of a tensor survive, and what becomes of their size: the first step of a merge.
package enum Sparsification: Sendable {
  /// All.
  case none
  /// The int(density * n) largest magnitudes (TIES, https://arxiv.org/abs/2306.01708).
  case magnitude
  /// Each with probability `density` (DARE, https://arxiv.org/abs/2311.03099): torch.bernoulli, one draw each.
  case random
  /// Without the int(gamma * n) largest and as many of the smallest as leaves int(density * n)
  /// (Model Breadcrumbs, https://arxiv.org/abs/2312.06795).
  case magnitudeOutliers
  /// Each with a probability between density - epsilon and density + epsilon, by the rank of its magnitude in its row
  /// (DELLA, https://arxiv.org/abs/2406.11617): torch.bernoulli, one draw each.
  case rankedRandom

  /// What the survivors are multiplied by.
  package enum Rescaling: Sendable {
    case none
    /// 1 / density, which keeps the mean.
    case inverseDensity
    /// The sum of magnitudes before over that after, where neither is below 1e-7 (mergekit).
    case sumOfMagnitudes
  }

  /// How much is kept.
  package struct Amounts: Sendable {
    package var density: Float
    package var gamma: Float = 0
    package var epsilon: Float = 0
  }

  /// Sparsifies a tensor whose last axis has `columns` elements. A density of 1 changes and draws nothing.
  /// - Parameter location: for errors: the task and the module.
  package func apply(
    to values: inout [Float], columns: Int, amounts: Amounts, rescaling: Rescaling, generator: inout TorchGenerator,
    location: @autoclosure () -> String
  ) throws(MergeError) {
    guard amounts.density < 1 else { return }
    let before = rescaling == .sumOfMagnitudes ? Sparsification.sumOfMagnitudes(values) : 0
    let count = Int(amounts.density.asWritten * Double(values.count))
    switch self {
    case .none: return
    case .magnitude:
      guard count > 0 else {
        throw .mismatch(
          location: "\(location()): density", expected: "one that keeps something of \(values.count) numbers",
          found: "\(amounts.density)")
      }
      MagnitudeOrder.keepLargest(count, of: &values)
    case .random:
      for i in values.indices where generator.nextUnitFloat() >= amounts.density { values[i] = 0 }
    case .magnitudeOutliers: Sparsification.dropOutliers(&values, keeping: count, gamma: amounts.gamma)
    case .rankedRandom:
      guard amounts.density + amounts.epsilon < 1, amounts.density > amounts.epsilon else {
        throw .mismatch(
          location: "\(location()): epsilon", expected: "density - epsilon above 0 and density + epsilon below 1",
          found: "density \(amounts.density), epsilon \(amounts.epsilon)")
      }
      Sparsification.dropByRank(&values, columns: columns, amounts: amounts, generator: &generator)
    }
    let factor: Float
    switch rescaling {
    case .none: return
    case .inverseDensity:
      for i in values.indices { values[i] /= amounts.density }
      return
    case .sumOfMagnitudes:
      let after = Sparsification.sumOfMagnitudes(values)
      guard before >= 1e-7, after >= 1e-7 else { return }
      factor = Float(before / after)
    }
    for i in values.indices { values[i] *= factor }
  }

  /// mergekit cuts nothing at the top, and everything else, where int(gamma * n) is 0; here nothing is cut at the top, and
  /// `count` elements are kept.
  private static func dropOutliers(_ values: inout [Float], keeping count: Int, gamma: Float) {
    let top = min(Int(gamma.asWritten * Double(values.count)), values.count - count)
    var largest = values
    MagnitudeOrder.keepLargest(top, of: &largest)
    MagnitudeOrder.keepLargest(top + count, of: &values)
    for i in values.indices where largest[i] != 0 { values[i] = 0 }
  }

  private static func dropByRank(
    _ values: inout [Float], columns: Int, amounts: Amounts, generator: inout TorchGenerator
  ) {
    var order = [Int](repeating: 0, count: columns)
    var probabilities = [Float](repeating: 0, count: columns)
    let (least, spread) = (Float(amounts.density.asWritten - amounts.epsilon.asWritten), amounts.epsilon)
    for start in stride(from: 0, to: values.count, by: columns) {
      for i in 0..<columns { order[i] = i }
      order.sort { (values[start + $0].magnitude, $0) < (values[start + $1].magnitude, $1) }
      // A row of one element has no ranks: 0 / 0 in the reference, which torch refuses.
      for (rank, i) in order.enumerated() {
        probabilities[i] = least + (columns > 1 ? Float(rank) / Float(columns - 1) : 0) * 2 * spread
      }
      for i in 0..<columns where generator.nextUnitFloat() >= probabilities[i] { values[start + i] = 0 }
    }
  }

  private static func sumOfMagnitudes(_ values: [Float]) -> Double {
    var sum = 0.0
    for value in values { sum += Double(value.magnitude) }
    return sum
  }
}
