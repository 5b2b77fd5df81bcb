// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

extension MergeProblem {
  /// What a parameter of the whole merge is for a module.
  package func value(_ parameter: MergeParameter, module: Int) -> Float {
    parameters.value(parameter.name, module: modules[module], layerCount: layerCount) ?? parameter.standard ?? 0
  }

  /// What a parameter is for a module of a task: the task's own value before that of the whole merge.
  package func value(_ parameter: MergeParameter, task: Int, module: Int) -> Float {
    tasks[task].parameters.value(parameter.name, module: modules[module], layerCount: layerCount)
      ?? value(parameter, module: module)
  }

  /// Whether a switch is on for a module.
  package func isOn(_ parameter: MergeParameter, module: Int) -> Bool { value(parameter, module: module) != 0 }

  /// The weight of a task for a module: the task's parameter `weight`, where a recipe gives one, or its one weight.
  package func weight(task: Int, module: Int) -> Float {
    tasks[task].parameters.value(MergeParameter.weightName, module: modules[module], layerCount: layerCount)
      ?? tasks[task].weight
  }

  /// A random stream for the whole merge: that of torch after `manual_seed`.
  package func generator() -> TorchGenerator { TorchGenerator(seed: Int(truncatingIfNeeded: seed)) }
}

extension MergeParameter {
  /// The weight of a task, which every method knows.
  package static let weightName = "weight"
}

extension Float {
  /// The number that its shortest decimal spelling means: 0.7 for the float nearest to 0.7, so that counts made of it are those
  /// that Python makes of what the user wrote.
  var asWritten: Double { Double(description) ?? Double(self) }
}
