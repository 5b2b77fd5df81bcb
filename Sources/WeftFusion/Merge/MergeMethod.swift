// SPDX-License-Identifier: Apache-2.0

/// One way to make several changes one: a row of the registry.
package struct MergeMethod: Sendable {
  /// The name on the command line and in recipes; mergekit's or peft's where they have the method.
  package let name: String
  /// The address of the paper, or of the implementation that defines it.
  package let source: String
  /// What it works on.
  package let space: MergeSpace
  /// How many tasks it can merge.
  package let taskCount: ClosedRange<Int>
  /// Whether it reads the base's weights.
  package let needsBase: Bool
  /// Whether, for whole models, it is defined on the weights themselves, so that no base is subtracted from them.
  package let isOfWholeWeights: Bool
  /// What it reads of tasks' statistics, of which one kind is enough; empty where it reads none.
  package let statistics: [MergeStatistics.Kind]
  /// Whether it reads masks that somebody gives.
  package let readsMasks: Bool
  /// Every parameter it knows; others are refused.
  package let parameters: [MergeParameter]
  /// Gives every module of the problem once, in order, to `emit`. Tasks, parameters and shapes are checked before.
  package let run: @Sendable (_ problem: MergeProblem, _ emit: Emit) throws(MergeError) -> Void

  /// Receives the change of a module, by its index.
  package typealias Emit = (_ module: Int, _ change: MergedChange) throws(MergeError) -> Void

  package init(
    _ name: String, source: String, space: MergeSpace, taskCount: ClosedRange<Int> = 1...1024, needsBase: Bool = false,
    isOfWholeWeights: Bool = false, statistics: [MergeStatistics.Kind] = [], readsMasks: Bool = false,
    parameters: [MergeParameter] = [],
    run: @escaping @Sendable (MergeProblem, Emit) throws(MergeError) -> Void
  ) {
    self.name = name
    self.source = source
    self.space = space
    self.taskCount = taskCount
    self.needsBase = needsBase
    self.isOfWholeWeights = isOfWholeWeights
    self.statistics = statistics
    self.readsMasks = readsMasks
    self.parameters = parameters
    self.run = run
  }
}

/// What a merge takes apart.
package enum MergeSpace: String, Sendable, CaseIterable {
  /// A with A and B with B: not the sum of the changes, as peft's `linear`.
  case factors
  /// The changes themselves; a low rank again by singular values.
  case delta
  /// Factors beside each other: the exact sum, of all ranks together.
  case concat
}

/// A number that a method can be told.
package struct MergeParameter: Sendable, Equatable {
  /// As in `density`; in mergekit's spelling where it has one.
  package let name: String
  /// Used when nobody says anything; nil when it must be said.
  package let standard: Float?
  /// What it may be, ends included.
  package let range: ClosedRange<Float>
  /// Whether every task may have its own.
  package let isOfTask: Bool
  /// For help.
  package let text: String
  /// What its numbers 0, 1, ... are called; empty for a quantity.
  package let words: [String]

  package init(_ name: String, standard: Float?, range: ClosedRange<Float>, isOfTask: Bool = false, text: String) {
    self.name = name
    self.standard = standard
    self.range = range
    self.isOfTask = isOfTask
    self.text = text
    words = []
  }

  /// A choice between words, the first of which is number 0.
  package init(_ name: String, words: [String], standard: Int, text: String) {
    self.name = name
    self.words = words
    self.standard = Float(standard)
    range = 0...Float(words.count - 1)
    isOfTask = false
    self.text = text
  }

  /// A switch.
  package init(_ name: String, isOn: Bool, text: String) {
    self.init(name, words: ["false", "true"], standard: isOn ? 1 : 0, text: text)
  }
}
