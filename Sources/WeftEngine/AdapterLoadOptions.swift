// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters

/// What a caller may have to say about an adapter because its files do not. An option that the adapter's family does not have is
/// refused, and so is one that the files decide.
public struct AdapterLoadOptions: Sendable, Hashable {
  /// The task of an adapter that was trained for several (Poly, multitask prompt tuning), counted from 0.
  public var task: Int?
  /// Multiplies a control or steering vector; nil for 1.
  public var strength: Float?
  /// The layers, counted from 0, that a control or steering vector acts after; nil for all that it has a vector for.
  public var layers: ClosedRange<Int>?
  /// The numerator of LoRA's scale alpha / rank, for files that do not hold it.
  public var alpha: Double?
  /// What is kept of the difference between a whole model and its base: `dense`, `sparse:0.2`, `rank:16`; nil for all of it.
  public var taskVector: String?

  /// A value with these properties.
  public init(
    task: Int? = nil, strength: Float? = nil, layers: ClosedRange<Int>? = nil, alpha: Double? = nil,
    taskVector: String? = nil
  ) {
    self.task = task
    self.strength = strength
    self.layers = layers
    self.alpha = alpha
    self.taskVector = taskVector
  }

  func options(for path: String) throws(EngineError) -> AdapterOptions {
    var form: TaskVectorForm?
    if let taskVector {
      form = TaskVectorForm(parsing: taskVector)
      guard form != nil else {
        throw EngineError(
          .invalidArgument, "\(path): task-vector: expected dense, sparse:SHARE or rank:COUNT, found \(taskVector)")
      }
    }
    return AdapterOptions(task: task, strength: strength, layers: layers, alpha: alpha, taskVector: form)
  }
}
