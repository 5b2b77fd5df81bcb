// SPDX-License-Identifier: Apache-2.0

extension MergeProblem {
  /// A task that has a say in a module: what it changes there, and what its data says about it.
  struct Voter<Knowledge> {
    let task: Int
    /// The task's weight.
    let weight: Double
    let knowledge: Knowledge
  }

  /// Refuses statistics that are not there, or that know no module of the problem: those of another model, or under other names
  /// (a GGUF file has names, and an order of rows, of its own).
  /// - Parameter kinds: of which one is enough.
  func requireStatistics(_ kinds: [MergeStatistics.Kind]) throws(MergeError) {
    guard statistics.count == tasks.count else {
      throw .mismatch(
        location: "statistics", expected: "one file for each of \(tasks.count) tasks, as `weft stats` writes them",
        found: "\(statistics.count)")
    }
    for own in statistics {
      guard own.origin.base == statistics[0].origin.base else {
        throw .mismatch(
          location: "\(own.location): base", expected: "\(statistics[0].origin.base), as \(statistics[0].location) has",
          found: own.origin.base)
      }
      let names = Set(own.names)
      let isKnown = modules.contains { module in kinds.contains { names.contains(MergeStatistics.name(module.name, $0)) } }
      guard isKnown else {
        throw .mismatch(
          location: own.location,
          expected: "\(kinds.map(\.rawValue).joined(separator: " or ")) of a module to be merged, as \(modules[0].name)",
          found: "none")
      }
    }
  }

  /// The tasks that statistics know something about a module of. Empty where nobody knows anything (vectors, embeddings): then
  /// there is a plain mean, `mean`. Throws where a task changes the module and others' statistics know it, but not its own.
  func voters<Knowledge>(
    _ module: Int, _ knowledge: (MergeStatistics) throws(MergeError) -> Knowledge?
  ) throws(MergeError) -> [Voter<Knowledge>] {
    var voters: [Voter<Knowledge>] = []
    for task in tasks.indices {
      guard let known = try knowledge(statistics[task]) else { continue }
      voters.append(Voter(task: task, weight: Double(weight(task: task, module: module)), knowledge: known))
    }
    guard !voters.isEmpty else { return [] }
    for task in tasks.indices where !voters.contains(where: { $0.task == task }) {
      guard try values.delta(task, module) == nil else {
        throw .mismatch(
          location: "\(tasks[task].name): \(statistics[task].location)",
          expected: "statistics of \(modules[module].name), as those of other tasks have", found: "none")
      }
    }
    return voters
  }

  /// sum of w tau / sum of w.
  func mean(_ module: Int) throws(MergeError) -> MergedChange {
    let weights = tasks.indices.map { weight(task: $0, module: module) }
    let sum = weights.reduce(0, +)
    guard sum != 0 else { throw .mismatch(location: "weights", expected: "a sum other than 0", found: "0") }
    if try hasFactorsOnly(module) { return .factors(try concatenated(module, weights: weights.map { $0 / sum })) }
    var result = [Float](repeating: 0, count: modules[module].elementCount)
    for task in tasks.indices {
      guard let change = try values.delta(task, module) else { continue }
      for index in result.indices { result[index] += weights[task] / sum * change[index] }
    }
    return .dense(result)
  }

  /// tau of a task in f64, zero where it leaves the module as it is.
  func wideChange(task: Int, module: Int) throws(MergeError) -> [Double] {
    try values.delta(task, module)?.map { Double($0) } ?? [Double](repeating: 0, count: modules[module].elementCount)
  }
}

extension MergeMethod {
  /// The methods that read what `weft stats` has collected.
  static let statisticsMethods: [MergeMethod] = [fisher, fisherFactors, regularMean, matching, kroneckerMatching]
}
