// SPDX-License-Identifier: Apache-2.0

/// Several changes of one module as one shared change with a bit mask and a number for each (TALL masks,
/// https://arxiv.org/abs/2405.07813), in the space of the factors: the shared ones are sums, and an element belongs to a task where
/// its own is larger than lambda times what the others add.
package struct TaskMasks: Sendable {
  /// The masks of one task.
  package struct Task: Sendable {
    package let a: [Bool]
    package let b: [Bool]
    /// Of the masked factors' product: the number that makes the squared error least.
    package let scale: Float
    /// |B A - scale (m_B o B_m) (m_A o A_m)|^2
    package let squaredError: Double
  }

  package let rank: Int
  /// A_m [rank * in] and B_m [out * rank].
  package let a: [Float]
  package let b: [Float]
  package let tasks: [Task]

  /// - Parameter lambda: 0.2 to 0.6 in the paper.
  package init(_ changes: [ModuleFactors], lambda: Float) throws(CompressionError) {
    guard let first = changes.first else {
      throw .mismatch(location: "mask", expected: "at least one adapter", found: "none")
    }
    for change in changes
    where change.rank != first.rank || change.outputSize != first.outputSize || change.inputSize != first.inputSize {
      throw .mismatch(
        location: change.path, expected: "[\(first.outputSize), \(first.inputSize)] of rank \(first.rank), as the first has",
        found: "[\(change.outputSize), \(change.inputSize)] of rank \(change.rank)")
    }
    var (a, b) = (first.a, first.b)
    for change in changes.dropFirst() {
      for i in a.indices { a[i] += change.a[i] }
      for i in b.indices { b[i] += change.b[i] }
    }
    func mask(_ own: [Float], _ total: [Float]) -> [Bool] {
      zip(own, total).map { $0.magnitude > lambda * ($1 - $0).magnitude }
    }
    tasks = changes.map { change in
      let (maskA, maskB) = (mask(change.a, a), mask(change.b, b))
      let masked = change.with(
        a: zip(a, maskA).map { $1 ? $0 : 0 }, b: zip(b, maskB).map { $1 ? $0 : 0 }, rank: change.rank)
      let (mixed, own) = (ModuleFactors.product(change, masked), masked.energy)
      let scale = own > 0 ? mixed / own : 0
      return Task(
        a: maskA, b: maskB, scale: Float(scale),
        squaredError: max(0, change.energy - 2 * scale * mixed + scale * scale * own))
    }
    rank = first.rank
    self.a = a
    self.b = b
  }
}
