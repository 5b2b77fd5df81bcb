// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// Layer swapping: every layer comes from the tasks whose range it is in, or from those outside of whose range it is; layers of
  /// several tasks (the transition) are their average. What is in no layer is the average of all tasks.
  ///
  /// Source: https://arxiv.org/abs/2410.01335: a language's expert gives the bottom and the top layers, a task's expert the middle.
  /// With 32 layers, `language: first 6, last 24, outside` and `task: first 5, last 25` average layers 5 and 25.
  static let layerSwap = MergeMethod(
    "layer_swap", source: "https://arxiv.org/abs/2410.01335", space: .delta, parameters: [firstLayer, lastLayer, outside]
  ) { (problem, emit) throws(MergeError) in
    for (index, module) in problem.modules.enumerated() {
      var givers: [Int] = []
      for task in problem.tasks.indices {
        let range = (first: try problem.count(firstLayer, task: task), last: try problem.count(lastLayer, task: task))
        let isOutside = try problem.count(outside, task: task) == 1
        let isInside = module.layer.map { ($0 >= range.first && $0 <= range.last) != isOutside } ?? true
        if isInside { givers.append(task) }
      }
      var merged = [Float](repeating: 0, count: module.elementCount)
      for task in givers {
        let change = try problem.weightedChange(task, index)
        for element in merged.indices { merged[element] += change[element] }
      }
      let share = 1 / Float(max(givers.count, 1))
      try emit(index, .dense(merged.map { $0 * share }))
    }
  }

  private static let firstLayer = MergeParameter(
    "first", standard: 0, range: 0...65535, isOfTask: true, text: "first layer of a task's range")
  private static let lastLayer = MergeParameter(
    "last", standard: 65535, range: 0...65535, isOfTask: true, text: "last layer of a task's range")
  private static let outside = MergeParameter(
    "outside", standard: 0, range: 0...1, isOfTask: true, text: "1: the task gives the layers outside of its range")
}
