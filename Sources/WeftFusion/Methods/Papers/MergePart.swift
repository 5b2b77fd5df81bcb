// SPDX-License-Identifier: Apache-2.0

extension MergeParameter {
  /// Which of several results is wanted: 0 for what all tasks share, t for what belongs to task number t, from one. Methods that
  /// have it make one adapter that all tasks share and one for each of them.
  package static let part = MergeParameter(
    "part", standard: 0, range: 0...1024, text: "which result: 0 what is shared, 1... what belongs to that task")
}

extension MergeMethod {
  /// Whether the method makes several results, told apart by the parameter `part`.
  package var hasParts: Bool { parameters.contains(.part) }
}

extension MergeProblem {
  /// The task whose result is wanted; nil for what is shared.
  func part() throws(MergeError) -> Int? {
    let part = try count(.part)
    guard part <= tasks.count else {
      throw .mismatch(location: "part", expected: "0 to \(tasks.count), the number of tasks", found: "\(part)")
    }
    return part == 0 ? nil : part - 1
  }

  /// What is merged times `lambda`.
  func scaled(_ merged: [Float], _ module: Int) -> [Float] {
    let lambda = value(.lambda, module: module)
    return lambda == 1 ? merged : merged.map { lambda * $0 }
  }

  /// The sum of changes that are equally long.
  func sum(_ changes: [[Float]]) -> [Float] {
    changes.dropFirst().reduce(into: changes.first ?? []) { sum, change in
      for index in sum.indices { sum[index] += change[index] }
    }
  }
}
