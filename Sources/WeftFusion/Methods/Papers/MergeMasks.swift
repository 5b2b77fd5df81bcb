// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// Weights of elements, columns or modules that somebody gives: learnt masks (SOMF), columns (DAM), one number for a module
/// (coefficients as AdaMerging's).
///
/// A safetensors file whose tensors are named `<task>.<module>` (the module's path in transformers, `.weight` after it or not), of
/// f32, f16 or bf16, and of one of these shapes: that of the module; [in] or [1, in], a weight for every column;
/// [out, 1], one for every row; one number. What has no tensor is not weighted.
package struct MergeMasks: Sendable {
  private let file: SafetensorsFile

  package init(path: String) throws(MergeError) {
    do { file = try SafetensorsFile(path: path) } catch { throw .format(error) }
  }

  /// Throws for a tensor that is for no task and module, or does not fit.
  func check(_ problem: MergeProblem) throws(MergeError) {
    var names: Set<String> = []
    for task in problem.tasks.indices {
      for module in problem.modules.indices {
        guard let (name, _) = try tensor(problem, task, module) else { continue }
        names.insert(name)
      }
    }
    guard let stray = file.tensorOrder.first(where: { !names.contains($0) }) else { return }
    throw .mismatch(
      location: file.path, expected: "tensors named <task>.<module>, with a task that is merged and a module that is changed",
      found: "'\(stray)'")
  }

  /// Multiplies a task's change of a module by its weights.
  func apply(to change: inout [Float], _ problem: MergeProblem, _ task: Int, _ module: Int) throws(MergeError) {
    guard let (name, tensor) = try tensor(problem, task, module) else { return }
    if let index = tensor.firstNonFinite() {
      throw .mismatch(location: "\(file.path): \(name)", expected: "finite numbers", found: "another at element \(index)")
    }
    let weights = tensor.floats()
    let shape = problem.modules[module].shape
    let columns = shape.last ?? 1
    if weights.count == change.count {
      for index in change.indices { change[index] *= weights[index] }
    } else if weights.count == 1 {
      for index in change.indices { change[index] *= weights[0] }
    } else if tensor.shape.count == 2, tensor.shape[1] == 1 {
      for index in change.indices { change[index] *= weights[index / columns] }
    } else {
      for index in change.indices { change[index] *= weights[index % columns] }
    }
  }

  private func tensor(
    _ problem: MergeProblem, _ task: Int, _ module: Int
  ) throws(MergeError) -> (name: String, tensor: Tensor)? {
    let place = problem.modules[module]
    let plain = "\(problem.tasks[task].name).\(place.name)"
    guard
      let (name, tensor) = [plain, plain + ".weight"].lazy.compactMap({ name in file.tensors[name].map { (name, $0) } }).first
    else { return nil }
    let columns = place.shape.last ?? 1
    let fitting =
      [place.shape, [1], [], [columns], [1, columns]] + (place.shape.count == 2 ? [[place.shape[0], 1]] : [])
    guard fitting.contains(tensor.shape) else {
      throw .mismatch(
        location: "\(file.path): \(name)", expected: "shape \(place.shape), one number, or a weight for each row or column",
        found: "\(tensor.shape)")
    }
    guard tensor.dtype.isWeight, !tensor.dtype.isQuantized else {
      throw .mismatch(location: "\(file.path): \(name)", expected: "f32, f16 or bf16", found: tensor.dtype.name)
    }
    return (name, tensor)
  }
}

extension MergeMethod {
  /// The sum of all changes, each multiplied by weights from a file.
  ///
  /// Source: masks as those of SOMF, columns as those of DAM (https://arxiv.org/abs/2410.08371), numbers as AdaMerging's
  /// (https://arxiv.org/abs/2310.02575), wherever they come from.
  static let givenMasks = MergeMethod(
    "given_masks", source: "https://arxiv.org/abs/2410.08371", space: .delta, readsMasks: true,
    parameters: [.lambda]
  ) { (problem, emit) throws(MergeError) in
    guard let masks = problem.masks else {
      throw .mismatch(location: "method given_masks", expected: "a file of masks", found: "none")
    }
    try masks.check(problem)
    for module in problem.modules.indices {
      var changes = try problem.weightedChanges(module)
      for task in changes.indices { try masks.apply(to: &changes[task], problem, task, module) }
      try emit(module, .dense(problem.scaled(problem.sum(changes), module)))
    }
  }
}
