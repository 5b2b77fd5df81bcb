// SPDX-License-Identifier: Apache-2.0

/// What the user may have to say about an adapter because its files do not.
///
/// An option that the adapter's family does not have is refused, and so is one that the files decide.
package struct AdapterOptions: Sendable, Equatable {
  /// The task of an adapter that was trained for several (Poly, multitask prompt tuning).
  package var task: Int?
  /// Multiplies a control or steering vector; nil for 1. A mixture's weight multiplies once more.
  package var strength: Float?
  /// The layers, counted from 0, that a control or steering vector acts after; nil for all that it has a vector for.
  package var layers: ClosedRange<Int>?
  /// The numerator of LoRA's scale alpha / rank, for files that do not hold it.
  package var alpha: Double?
  /// What is kept of the difference between a whole model and its base; nil for all of it.
  package var taskVector: TaskVectorForm?

  package init(
    task: Int? = nil, strength: Float? = nil, layers: ClosedRange<Int>? = nil, alpha: Double? = nil,
    taskVector: TaskVectorForm? = nil
  ) {
    self.task = task
    self.strength = strength
    self.layers = layers
    self.alpha = alpha
    self.taskVector = taskVector
  }

  /// The name of an option, as errors and the command line have it.
  package enum Name: String, Sendable, CaseIterable {
    case task, strength, layers, alpha
    case taskVector = "task-vector"
  }

  /// The options that are given.
  package var given: [Name] {
    Name.allCases.filter { name in
      switch name {
      case .task: task != nil
      case .strength: strength != nil
      case .layers: layers != nil
      case .alpha: alpha != nil
      case .taskVector: taskVector != nil
      }
    }
  }
}

/// What is kept of the matrices of a task vector; norms, biases, embedding and learned positions are always whole.
package enum TaskVectorForm: Sendable, Equatable {
  case dense
  /// This share of the elements of each matrix, those of the largest magnitude; at least one.
  case sparse(share: Double)
  /// The first singular triples of each matrix.
  case lowRank(Int)
}

extension TaskVectorForm: CustomStringConvertible {
  /// `dense`, `sparse:0.2` or `rank:4`; `init(parsing:)` reads it back.
  package var description: String {
    switch self {
    case .dense: "dense"
    case .sparse(let share): "sparse:\(share)"
    case .lowRank(let rank): "rank:\(rank)"
    }
  }

  /// nil for anything else, a share that is not above 0 and up to 1, and a rank below 1.
  package init?(parsing text: String) {
    let fields = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    switch (fields.first, fields.count) {
    case ("dense", 1): self = .dense
    case ("sparse", 2):
      guard let share = Double(fields[1]), share > 0, share <= 1 else { return nil }
      self = .sparse(share: share)
    case ("rank", 2):
      guard let rank = Int(fields[1]), rank >= 1 else { return nil }
      self = .lowRank(rank)
    default: return nil
    }
  }
}
