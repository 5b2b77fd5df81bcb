// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftFusion
import WeftTensors

/// What only a method can see to be wrong.
struct PaperMergeRefusalTests {
  private let modules = [MergeProblem.Module(name: "model.layers.0.mlp.up_proj", shape: [6, 4], layer: 0)]

  private func factors(rank: Int) -> MergedChange {
    .factors(
      MergeFactors(
        a: (0..<rank * 4).map { Float($0 % 5) - 1.5 }, b: (0..<rank * 6).map { Float($0 % 7) - 2.5 }, rank: rank, scale: 1))
  }

  private func problem(
    _ changes: [MergedChange?], _ parameters: [String: Float] = [:], masks: MergeMasks? = nil
  ) -> MergeProblem {
    MergeProblem(
      modules: modules, tasks: changes.indices.map { .init(name: "task\($0)", weight: 1) }, changes: changes.map { [$0] },
      parameters: MergeParameters(parameters), masks: masks)
  }

  private func refusal(_ name: String, _ problem: MergeProblem) throws -> String {
    do {
      _ = try problem.merged(by: try MergeMethod.named(name))
      return "merged"
    } catch let error as MergeError { return error.description }
  }

  @Test func factorsAreNeeded() throws {
    for name in ["lego", "robust_merge"] {
      let text = try refusal(name, problem([factors(rank: 2), .dense([Float](repeating: 1, count: 24))]))
      #expect(text == "task1: cannot be merged: this method works on the factors A and B, and \(modules[0].name) has none")
    }
  }

  @Test func ranksFitAndCountsAreWhole() throws {
    let unequal = try refusal("robust_merge", problem([factors(rank: 2), factors(rank: 3)]))
    #expect(unequal == "task1: \(modules[0].name): expected rank 2, as the tasks before, found 3")
    let whole = try refusal("consensus", problem([factors(rank: 2)], ["active": 1.5]))
    #expect(whole == "active: expected a whole number, found 1.5")
  }

  @Test func partsAreOfTasks() throws {
    for name in ["emr", "tall_masks", "twin_merging"] {
      let text = try refusal(name, problem([factors(rank: 2), factors(rank: 2)], ["part": 3]))
      #expect(text == "part: expected 0 to 2, the number of tasks, found 3")
    }
  }

  @Test func chancesStayChances() throws {
    let text = try refusal("della_paper", problem([factors(rank: 2)], ["drop": 0.9, "epsilon": 0.3]))
    #expect(text.hasPrefix("task0: drop and epsilon: expected drop - epsilon / 2 and drop + epsilon / 2 in 0..<1"))
  }

  @Test func changesFitTheirModules() throws {
    let short = try refusal("ties_paper", problem([.dense([1, 2])]))
    #expect(short == "task0: \(modules[0].name): expected 24 numbers, found 2")
    let factors = MergedChange.factors(MergeFactors(a: [1], b: [1], rank: 1, scale: 1))
    for name in ["tsv_m", "lego"] {
      #expect(try refusal(name, problem([factors])).hasPrefix("task0: \(modules[0].name): expected factors of rank 1"))
    }
  }

  @Test func numbersAreFinite() throws {
    for name in ["tsv_m", "iso_c", "iso_cts", "opcm", "knots"] {
      var values = [Float](repeating: 1, count: 24)
      values[5] = .nan
      let text = try refusal(name, problem([.dense(values), factors(rank: 2)]))
      #expect(text.contains("expected finite numbers, found infinity or NaN"), "\(name): \(text)")
    }
  }

  @Test func masksFit() throws {
    let folder = try TemporaryFolder()
    func masks(_ name: String, _ shape: [Int], _ value: Float = 1) throws -> MergeMasks {
      let path = folder.file("masks.safetensors")
      let values = [Float](repeating: value, count: shape.reduce(1, *))
      let writer = try SafetensorsWriter(path: path, tensors: [(name: name, dtype: .f32, shape: shape)])
      try writer.append(values)
      try writer.finish()
      return try MergeMasks(path: path)
    }
    let tasks = [factors(rank: 2), factors(rank: 2)]
    let place = "task1.\(modules[0].name)"
    #expect(try refusal("given_masks", problem(tasks)) == "method given_masks: expected a file of masks, found none")
    for shape in [[6, 4], [4], [1, 4], [6, 1], [1]] {
      #expect(try refusal("given_masks", problem(tasks, masks: try masks(place, shape))) == "merged")
    }
    let shape = try refusal("given_masks", problem(tasks, masks: try masks(place, [6])))
    #expect(shape.hasSuffix("expected shape [6, 4], one number, or a weight for each row or column, found [6]"), "\(shape)")
    let stray = try refusal("given_masks", problem(tasks, masks: try masks("other.\(modules[0].name)", [4])))
    #expect(stray.hasSuffix("found 'other.\(modules[0].name)'"), "\(stray)")
    let infinite = try refusal("given_masks", problem(tasks, masks: try masks(place, [4], .infinity)))
    #expect(infinite.contains("expected finite numbers"), "\(infinite)")
  }
}
