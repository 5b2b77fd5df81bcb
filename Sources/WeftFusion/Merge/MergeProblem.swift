// SPDX-License-Identifier: Apache-2.0

/// What a merge starts from: several tasks that change the same modules, each in its own way.
///
/// A task is an adapter, or a model that was trained on from a base; its change of a module is tau = theta - theta_0, which for a
/// low rank is scale * B A. Values are read when they are asked for, so that a merge of whole models holds one module at a time.
package struct MergeProblem: Sendable {
  /// One thing to be merged.
  package struct Task: Sendable {
    /// For messages.
    package let name: String
    /// Its weight, any sign.
    package let weight: Float
    /// Its own values of parameters; `MergeParameters` gives them before those of the whole merge.
    package let parameters: MergeParameters

    package init(name: String, weight: Float, parameters: MergeParameters = MergeParameters()) {
      self.name = name
      self.weight = weight
      self.parameters = parameters
    }
  }

  /// One place that tasks change: the weight of a linear map, an embedding, or a vector.
  package struct Module: Sendable, Equatable {
    /// The path in transformers, as in `model.layers.3.self_attn.q_proj`.
    package let name: String
    /// [out, in], or [n] for a vector.
    package let shape: [Int]
    /// The layer it is in; nil outside of layers.
    package let layer: Int?
    /// Whether the model keeps it transposed to what is given here, [in, out]: an embedding as adapters see it, GPT-2's Conv1D.
    /// Random masks are drawn in the order of the model.
    package let isTransposed: Bool

    package init(name: String, shape: [Int], layer: Int?, isTransposed: Bool = false) {
      self.name = name
      self.shape = shape
      self.layer = layer
      self.isTransposed = isTransposed
    }

    package var elementCount: Int { shape.reduce(1, *) }
  }

  /// Reads values, by the index of task and module. Each call makes them anew.
  package struct Values: Sendable {
    /// tau of a task, row-major; nil where the task leaves the module as it is.
    package let delta: @Sendable (_ task: Int, _ module: Int) throws(MergeError) -> [Float]?
    /// tau as factors; nil where it is not given so.
    package let factors: @Sendable (_ task: Int, _ module: Int) throws(MergeError) -> MergeFactors?
    /// theta_0; nil when no base is at hand.
    package let base: @Sendable (_ module: Int) throws(MergeError) -> [Float]?

    package init(
      delta: @escaping @Sendable (Int, Int) throws(MergeError) -> [Float]?,
      factors: @escaping @Sendable (Int, Int) throws(MergeError) -> MergeFactors? = { (_, _) throws(MergeError) in nil },
      base: @escaping @Sendable (Int) throws(MergeError) -> [Float]? = { _ throws(MergeError) in nil }
    ) {
      self.delta = delta
      self.factors = factors
      self.base = base
    }
  }

  /// What data says about each task, in their order; empty where nothing is known.
  package var statistics: [MergeStatistics] = []
  package let tasks: [Task]
  /// Every module that some task changes, in the order of the model.
  package let modules: [Module]
  package let values: Values
  /// Of the whole merge.
  package let parameters: MergeParameters
  /// Of everything random.
  package let seed: UInt64
  /// Layers of the model, over which gradients of parameters spread.
  package let layerCount: Int
  /// Weights of elements, columns or modules from a file.
  package let masks: MergeMasks?
  /// The rank that the result shall have, for methods that make one of their own; nil: nobody says.
  package let rank: Int?

  /// - Parameter layerCount: nil: as many as the modules tell.
  package init(
    tasks: [Task], modules: [Module], values: Values, parameters: MergeParameters, seed: UInt64 = 0, layerCount: Int? = nil,
    masks: MergeMasks? = nil, rank: Int? = nil
  ) {
    self.tasks = tasks
    self.modules = modules
    self.values = values
    self.parameters = parameters
    self.seed = seed
    self.layerCount = layerCount ?? (modules.compactMap(\.layer).max() ?? 0) + 1
    self.masks = masks
    self.rank = rank
  }
}

/// A change of low rank as the factors that a file holds: tau = scale * B A.
package struct MergeFactors: Sendable, Equatable {
  /// [rank * in], row-major.
  package var a: [Float]
  /// [out * rank], row-major.
  package var b: [Float]
  package var rank: Int
  package var scale: Float

  package init(a: [Float], b: [Float], rank: Int, scale: Float) {
    self.a = a
    self.b = b
    self.rank = rank
    self.scale = scale
  }
}

/// What a merge makes of one module. A method that works on whole models gives tau as well: what is added to the base.
package enum MergedChange: Sendable, Equatable {
  /// tau as factors, whose scale is part of the result.
  case factors(MergeFactors)
  /// tau [out * in], row-major. Who wants a low rank of it truncates its singular values.
  case dense([Float])
}
