// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// Checks tasks, parameters and shapes of a problem, and merges.
  package func merge(_ problem: MergeProblem, _ emit: Emit) throws(MergeError) {
    try check(problem)
    try run(problem, emit)
  }

  /// Throws for what this method cannot merge, before anything is read.
  package func check(_ problem: MergeProblem) throws(MergeError) {
    let tasks = problem.tasks
    guard taskCount.contains(tasks.count) else {
      let expected = taskCount.count == 1 ? "exactly \(taskCount.lowerBound)" : "at least \(taskCount.lowerBound)"
      throw .mismatch(location: "method \(name)", expected: "\(expected) to merge", found: "\(tasks.count)")
    }
    var names: Set<String> = []
    for task in tasks {
      guard names.insert(task.name).inserted else {
        throw .mismatch(location: "tasks", expected: "a name of its own for each", found: "'\(task.name)' twice")
      }
      guard task.weight.isFinite else {
        throw .mismatch(location: task.name, expected: "a finite weight", found: "\(task.weight)")
      }
      try check(task.parameters, location: task.name, isOfTask: true)
    }
    let own = tasks.flatMap { $0.parameters.entries[MergeParameter.weightName] ?? [] }.flatMap(\.numbers)
    guard tasks.contains(where: { $0.weight != 0 }) || own.contains(where: { $0 != 0 }) else {
      throw .mismatch(location: "weights", expected: "one other than 0", found: "only 0")
    }
    try check(problem.parameters, location: "method \(name)", isOfTask: false)
    for parameter in parameters where parameter.standard == nil && problem.parameters.entries[parameter.name] == nil {
      guard parameter.isOfTask, tasks.allSatisfy({ $0.parameters.entries[parameter.name] != nil }) else {
        throw .mismatch(
          location: "method \(name)", expected: "parameter \(parameter.name): \(parameter.text)", found: "none")
      }
    }
    guard !problem.modules.isEmpty else {
      throw .mismatch(location: "tasks", expected: "modules that they change", found: "none")
    }
    if needsBase, try problem.values.base(0) == nil {
      throw .mismatch(location: "method \(name)", expected: "the base's weights", found: "no base")
    }
    try checkData(of: problem)
  }

  /// Statistics are there where they are read; and they and masks only there.
  private func checkData(of problem: MergeProblem) throws(MergeError) {
    if !statistics.isEmpty {
      try problem.requireStatistics(statistics)
    } else if let first = problem.statistics.first {
      throw .mismatch(location: "method \(name)", expected: "no statistics, which it does not read", found: first.location)
    }
    guard readsMasks || problem.masks == nil else {
      throw .mismatch(location: "method \(name)", expected: "no masks, which it does not read", found: "a file of them")
    }
  }

  private func check(_ given: MergeParameters, location: String, isOfTask: Bool) throws(MergeError) {
    for name in given.names {
      let numbers = (given.entries[name] ?? []).flatMap(\.numbers)
      if name == MergeParameter.weightName, isOfTask {
        if let number = numbers.first(where: { !$0.isFinite }) {
          throw .mismatch(location: "\(location): weight", expected: "a finite number", found: "\(number)")
        }
        continue
      }
      let known = isOfTask ? parameters.filter(\.isOfTask) : parameters
      guard let parameter = known.first(where: { $0.name == name }) else {
        if let reason = MergeMethod.refusedParameters[name] {
          throw .mismatch(location: location, expected: reason, found: name)
        }
        let names = known.map(\.name) + (isOfTask ? [MergeParameter.weightName] : [])
        throw .mismatch(
          location: location,
          expected: names.isEmpty ? "no parameters for \(self.name)" : "parameters \(names.joined(separator: ", "))",
          found: "'\(name)'")
      }
      for number in numbers where !parameter.allows(number) {
        throw .mismatch(location: "\(location): \(name)", expected: parameter.rangeText, found: "\(number)")
      }
    }
  }

  /// Parameters of the methods' first implementations that are not offered, and why.
  static let refusedParameters = [
    "svd_clamp": "it absent: what it cuts depends on the signs of singular vectors, which each LAPACK chooses itself"
  ]
}

extension MergeParameter {
  /// Whether a number may be given.
  package func allows(_ number: Float) -> Bool {
    range.contains(number) && (words.isEmpty || number == number.rounded())
  }

  /// What may be given, in words.
  package var rangeText: String {
    if !words.isEmpty { return words.joined(separator: " or ") }
    let (low, high) = (range.lowerBound, range.upperBound)
    let least =
      low == .leastNonzeroMagnitude
      ? "more than 0" : low <= -.greatestFiniteMagnitude ? nil : "at least \(MergeParameter.text(low))"
    let most =
      high >= .greatestFiniteMagnitude
      ? nil : high == Float(1).nextDown ? "less than 1" : "at most \(MergeParameter.text(high))"
    let limits = [least, most].compactMap(\.self)
    return limits.isEmpty ? "a finite number" : limits.joined(separator: ", ")
  }

  /// A number without the fraction that it does not have.
  package static func text(_ number: Float) -> String {
    Int(exactly: number).map { "\($0)" } ?? "\(number)"
  }

  /// Ranges that several methods have.
  package static let anyNumber = -Float.greatestFiniteMagnitude...Float.greatestFiniteMagnitude
  package static let share = Float.leastNonzeroMagnitude...1
  package static let unit: ClosedRange<Float> = 0...1
}
