// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftFusion
import WeftTensors

/// The problems and cases of `Tests/Goldens/merge-papers`.
struct PaperMergeGoldens {
  struct Case {
    let name: String
    let method: MergeMethod
    let problem: String
    let parameters: JSON
    let seed: UInt64
  }

  let cases: [Case]
  private let document: JSON
  private let inputs: Golden
  private let expected: Golden

  init() throws {
    document = try JSON(file: TestPaths.goldens + "/merge-papers/cases.json")
    inputs = try Golden("merge-papers/problems.safetensors")
    expected = try Golden("merge-papers/expected.safetensors")
    cases = try #require(document["cases"]?.array).enumerated().map { index, entry in
      let method = try #require(entry["method"]?.string)
      return Case(
        name: "\(index)", method: try MergeMethod.named(method),
        problem: try #require(entry["problem"]?.string), parameters: try #require(entry["parameters"]),
        seed: UInt64(try #require(entry["seed"]?.int)))
    }
  }

  /// The problem of a case.
  /// - Parameter isDense: whether changes of low rank are given multiplied out only.
  func problem(of one: Case, isDense: Bool) throws -> MergeProblem {
    let entry = try #require(document["problems"]?[one.problem])
    let modules = try #require(entry["modules"]?.array).map { module in
      let shape = try #require(module["shape"]?.array)
      return MergeProblem.Module(
        name: try #require(module["name"]?.string), shape: shape.compactMap(\.int), layer: module["layer"]?.int)
    }
    var (common, ofTasks) = (MergeParameters(), [[String: Float]](repeating: [:], count: 3))
    for (name, value) in try #require(one.parameters.members) where name != "rank" {
      if let ranges = value.array {
        for (task, range) in ranges.enumerated() {
          let numbers = range.array?.compactMap(\.double).map { Float($0) } ?? []
          ofTasks[task] = ["first": numbers[0], "last": numbers[1], "outside": numbers[2]]
        }
        continue
      }
      let word = value.string.flatMap { word in
        one.method.parameters.first { $0.name == name }?.words.firstIndex(of: word).map { Float($0) }
      }
      common.add(name, .init([try #require(word ?? value.double.map { Float($0) })]))
    }
    let tasks = try #require(entry["weights"]?.array).enumerated().map { index, weight in
      MergeProblem.Task(
        name: "task\(index)", weight: Float(try #require(weight.double)), parameters: MergeParameters(ofTasks[index]))
    }
    var changes: [[MergedChange?]] = []
    for task in tasks.indices {
      changes.append(
        try modules.indices.map { module in
          let place = "\(one.problem).\(task).\(module)"
          if inputs.names.contains("\(place).delta") { return .dense(try inputs.floats("\(place).delta")) }
          guard inputs.names.contains("\(place).a") else { return nil }
          let factors = MergeFactors(
            a: try inputs.floats("\(place).a"), b: try inputs.floats("\(place).b"),
            rank: try inputs.tensor("\(place).a").shape[0], scale: try inputs.floats("\(place).scale")[0])
          return isDense ? .dense(dense(.factors(factors), modules[module].shape)) : .factors(factors)
        })
    }
    let masks =
      one.method.name == "given_masks"
      ? try MergeMasks(path: TestPaths.goldens + "/merge-papers/masks.\(one.problem).safetensors") : nil
    return MergeProblem(
      modules: modules, tasks: tasks, changes: changes, parameters: common, seed: one.seed, masks: masks,
      rank: one.parameters["rank"]?.int)
  }

  /// What the reference makes of a module.
  func expected(_ one: Case, module: Int) throws -> [Float] { try expected.floats("\(one.name).\(module)") }
}

extension MergeProblem {
  /// A problem whose changes are in memory, by task and module.
  init(
    modules: [Module], tasks: [Task], changes: [[MergedChange?]], parameters: MergeParameters = MergeParameters(),
    seed: UInt64 = 0, masks: MergeMasks? = nil, rank: Int? = nil
  ) {
    let shapes = modules.map(\.shape)
    self.init(
      tasks: tasks, modules: modules,
      values: Values(
        delta: { (task, module) throws(MergeError) in changes[task][module].map { dense($0, shapes[module]) } },
        factors: { (task, module) throws(MergeError) in
          guard case .factors(let factors) = changes[task][module] else { return nil }
          return factors
        }),
      parameters: parameters, seed: seed, masks: masks, rank: rank)
  }

  /// What a method makes of every module, multiplied out.
  func merged(by method: MergeMethod) throws -> [[Float]] {
    var merged: [[Float]] = []
    try method.merge(self) { (module, change) throws(MergeError) in
      guard module == merged.count else {
        throw .mismatch(location: "test", expected: "module \(merged.count)", found: "module \(module)")
      }
      merged.append(dense(change, modules[module].shape))
    }
    return merged
  }
}

/// A change multiplied out, with sums in f64.
func dense(_ change: MergedChange, _ shape: [Int]) -> [Float] {
  switch change {
  case .dense(let values): return values
  case .factors(let factors):
    return (0..<shape[0]).flatMap { row in
      (0..<shape[1]).map { column in
        var sum = 0.0
        for r in 0..<factors.rank {
          sum += Double(factors.b[row * factors.rank + r]) * Double(factors.a[r * shape[1] + column])
        }
        return Float(Double(factors.scale) * sum)
      }
    }
  }
}
