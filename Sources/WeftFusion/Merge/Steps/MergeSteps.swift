// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// The steps that methods over elements have in common: sparsify, rescale, elect signs, add up, divide.
package struct MergeSteps: Sendable {
  package var sparsification: Sparsification = .none
  package var rescaling: Sparsification.Rescaling = .none
  package var election: SignElection = .none
  package var divisor: Divisor = .one

  /// What the weighted sum is divided by.
  package enum Divisor: Sendable {
    case one
    /// The number of tasks with the elected sign, at least 1 (peft).
    case voters
    /// The sum of the weights: of the tasks with the elected sign, where signs are elected; 1 where it is 0 (mergekit).
    case weights
  }

  /// Whether the sum is linear in the tasks, with nothing dropped from any.
  func isLinear(densities: [Float]) -> Bool {
    election == .none && (sparsification == .none || densities.allSatisfy { $0 >= 1 })
  }

  /// What every weight is divided by where the sum is linear.
  func divisor(of weights: [Float]) -> Float {
    guard divisor == .weights else { return 1 }
    let sum = weights.reduce(0, +)
    return sum.magnitude < 1e-8 ? 1 : sum
  }

  /// The weighted sum of tasks that are sparse already.
  /// - Parameter factor: what the result is multiplied by (mergekit's lambda).
  package func combine(_ tasks: [[Float]], weights: [Float], factor: Float = 1) -> [Float] {
    let count = tasks.first?.count ?? 0
    let whole = divisor(of: weights)
    return [Float](unsafeUninitializedCapacity: count) { result, initialized in
      for element in 0..<count {
        let sign = election.sign(of: element, in: tasks, weights: weights)
        var (sum, voters, share): (Float, Float, Float) = (0, 0, 0)
        for index in tasks.indices {
          let (value, weight) = (tasks[index][element], weights[index])
          // mergekit asks for the sign of the weighted value, peft for that of the value.
          let asked = election == .weightedSum ? value * weight : value
          if sign != 0, asked * sign <= 0 { continue }
          sum += value * weight
          voters += 1
          share += weight
        }
        switch divisor {
        case .one: break
        case .voters: sum /= max(voters, 1)
        case .weights: sum /= sign == 0 ? whole : share == 0 ? 1 : share
        }
        result.initializeElement(at: element, to: factor == 1 ? sum : sum * factor)
      }
      initialized = count
    }
  }
}
