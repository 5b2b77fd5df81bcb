// SPDX-License-Identifier: Apache-2.0

/// Which sign an element of a merge shall have; tasks of another sign have no part in it (TIES,
/// https://arxiv.org/abs/2306.01708). Ties elect +, and a 0 agrees with nobody.
package enum SignElection: Sendable {
  /// Nobody is asked.
  case none
  /// The sign of the sum of the tasks, without their weights (peft's `total`).
  case sum
  /// The sign that most have, zeros aside (peft's `frequency`).
  case count
  /// The sign of the weighted sum (mergekit's `sum`).
  case weightedSum

  /// The elected sign of an element, 1 or -1; 0 where nobody is asked.
  @inline(__always)
  func sign(of element: Int, in tasks: [[Float]], weights: [Float]) -> Float {
    var sum: Float = 0
    switch self {
    case .none: return 0
    case .sum: for task in tasks { sum += task[element] }
    case .count: for task in tasks { sum += task[element] > 0 ? 1 : task[element] < 0 ? -1 : 0 }
    case .weightedSum: for index in tasks.indices { sum += tasks[index][element] * weights[index] }
    }
    return sum >= 0 ? 1 : -1
  }
}
