// SPDX-License-Identifier: Apache-2.0

// What the methods from papers share: a task's weight multiplies its change before anything else happens to it, and a task that
// leaves a module as it is changes it by zeros.
extension MergeProblem {
  /// w tau of a task, row-major.
  func weightedChange(_ task: Int, _ module: Int) throws(MergeError) -> [Float] {
    guard var change = try values.delta(task, module) else {
      return [Float](repeating: 0, count: modules[module].elementCount)
    }
    guard change.count == modules[module].elementCount else {
      throw .mismatch(
        location: "\(tasks[task].name): \(modules[module].name)", expected: "\(modules[module].elementCount) numbers",
        found: "\(change.count)")
    }
    let weight = weight(task: task, module: module)
    if weight != 1 {
      for index in change.indices { change[index] *= weight }
    }
    return change
  }

  /// w tau of every task.
  func weightedChanges(_ module: Int) throws(MergeError) -> [[Float]] {
    var changes: [[Float]] = []
    for task in tasks.indices { changes.append(try weightedChange(task, module)) }
    return changes
  }

  /// The factors of a task, its weight in their scale; nil where it leaves the module as it is.
  ///
  /// Throws `.notMixable` for a task that changes the module otherwise.
  func weightedFactors(_ task: Int, _ module: Int) throws(MergeError) -> MergeFactors? {
    if var factors = try values.factors(task, module) {
      try check(factors, task, module)
      factors.scale *= weight(task: task, module: module)
      return factors
    }
    guard try values.delta(task, module) == nil else {
      throw .notMixable(
        task: tasks[task].name, reason: "this method works on the factors A and B, and \(modules[module].name) has none")
    }
    return nil
  }

  /// The factors of a task, which must fit the module.
  func check(_ factors: MergeFactors, _ task: Int, _ module: Int) throws(MergeError) {
    let shape = modules[module].shape
    guard shape.count == 2, factors.rank > 0, factors.a.count == factors.rank * shape[1],
      factors.b.count == shape[0] * factors.rank
    else {
      throw .mismatch(
        location: "\(tasks[task].name): \(modules[module].name)",
        expected: "factors of rank \(factors.rank) for a matrix \(shape)",
        found: "A of \(factors.a.count) and B of \(factors.b.count) numbers")
    }
  }

  /// A parameter's value: the task's own, else that of the merge, else the standard one; as it was written, so that the float
  /// nearest to 0.7 counts as 0.7.
  func number(_ parameter: MergeParameter, module: Int? = nil, task: Int? = nil) -> Double {
    func value(in parameters: MergeParameters) -> Float? {
      guard let module else { return parameters.value(parameter.name) }
      return parameters.value(parameter.name, module: modules[module], layerCount: layerCount)
    }
    let value = task.flatMap { value(in: tasks[$0].parameters) } ?? value(in: parameters)
    let chosen = value ?? parameter.standard ?? parameter.range.lowerBound
    return chosen.asWritten
  }

  /// A parameter's value that counts something.
  func count(_ parameter: MergeParameter, module: Int? = nil, task: Int? = nil) throws(MergeError) -> Int {
    let number = number(parameter, module: module, task: task)
    guard let count = Int(exactly: number) else {
      throw .mismatch(location: parameter.name, expected: "a whole number", found: "\(number)")
    }
    return count
  }
}
