// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension MergeProblem {
  /// The changes of a module after sparsification, added up: what `steps` say, task by task in order.
  ///
  /// What is linear in tasks that are all of low rank stays so, exactly.
  /// - Parameters:
  ///   - skipsAbsent: whether a task without the module has no part in it; otherwise its change there is zero.
  ///   - factor: what the result is multiplied by.
  ///   - amounts: by task.
  func change(
    _ module: Int, steps: MergeSteps, skipsAbsent: Bool, factor: Float = 1, generator: inout TorchGenerator,
    amounts: (_ task: Int) -> Sparsification.Amounts
  ) throws(MergeError) -> MergedChange {
    let densities = tasks.indices.map { amounts($0).density }
    if steps.isLinear(densities: densities), try hasFactorsOnly(module) {
      let weights = tasks.indices.map { weight(task: $0, module: module) }
      let divisor = steps.divisor(of: weights)
      return .factors(try concatenated(module, weights: weights.map { $0 / divisor * factor }))
    }
    let place = modules[module]
    let columns = storedSize(module).columns
    var (changes, weights): ([[Float]], [Float]) = ([], [])
    for task in tasks.indices {
      guard
        var change = try changeAsStored(task: task, module: module)
          ?? (skipsAbsent ? nil : [Float](repeating: 0, count: place.elementCount))
      else { continue }
      try steps.sparsification.apply(
        to: &change, columns: columns, amounts: amounts(task), rescaling: steps.rescaling, generator: &generator,
        location: "\(tasks[task].name), \(place.name)")
      changes.append(change)
      weights.append(weight(task: task, module: module))
    }
    return .dense(inFactorOrder(steps.combine(changes, weights: weights, factor: factor), module: module))
  }

  /// Whether every task that changes the module does so by factors.
  func hasFactorsOnly(_ module: Int) throws(MergeError) -> Bool {
    for task in tasks.indices {
      if try values.factors(task, module) != nil { continue }
      if try values.delta(task, module) != nil { return false }
    }
    return true
  }

  /// tau in the order in which the model keeps the weight; nil where the task leaves the module as it is.
  func changeAsStored(task: Int, module: Int) throws(MergeError) -> [Float]? {
    guard let change = try values.delta(task, module) else { return nil }
    let place = modules[module]
    guard place.isTransposed else { return change }
    return LinearAlgebra.transposed(change, rows: place.shape[0], columns: place.shape[1])
  }

  /// tau of every task in that order, zero where a task leaves the module as it is.
  func changesAsStored(_ module: Int) throws(MergeError) -> [[Float]] {
    var changes: [[Float]] = []
    for task in tasks.indices {
      changes.append(
        try changeAsStored(task: task, module: module) ?? [Float](repeating: 0, count: modules[module].elementCount))
    }
    return changes
  }

  /// [out, in] again of what is in the order of the model.
  func inFactorOrder(_ change: [Float], module: Int) -> [Float] {
    let place = modules[module]
    guard place.isTransposed else { return change }
    return LinearAlgebra.transposed(change, rows: place.shape[1], columns: place.shape[0])
  }

  /// Rows and columns of a module as the model keeps it; a vector is one row.
  func storedSize(_ module: Int) -> (rows: Int, columns: Int) {
    let place = modules[module]
    guard place.shape.count == 2 else { return (1, place.elementCount) }
    return place.isTransposed ? (place.shape[1], place.shape[0]) : (place.shape[0], place.shape[1])
  }
}
