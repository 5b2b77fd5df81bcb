// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFusion

/// What holds for any input: identities, orders that do not matter, seeds.
struct PaperMergeLawTests {
  private let modules = [
    MergeProblem.Module(name: "model.layers.0.self_attn.q_proj", shape: [14, 10], layer: 0),
    MergeProblem.Module(name: "model.layers.1.mlp.down_proj", shape: [9, 16], layer: 1),
  ]

  /// Tasks of low rank from a seed each.
  private func problem(
    _ seeds: [UInt64], rank: Int = 2, parameters: [String: Float] = [:], seed: UInt64 = 3,
    result: Int? = nil
  ) -> MergeProblem {
    let changes = seeds.map { seed in
      var generator = SeededGenerator(seed: seed)
      return modules.map { module -> MergedChange? in
        .factors(
          MergeFactors(
            a: generator.floats(rank * module.shape[1]), b: generator.floats(module.shape[0] * rank), rank: rank, scale: 0.5))
      }
    }
    return MergeProblem(
      modules: modules, tasks: seeds.indices.map { .init(name: "task\($0)", weight: 1) }, changes: changes,
      parameters: MergeParameters(parameters), seed: seed, rank: result)
  }

  private func method(_ name: String) throws -> MergeMethod { try MergeMethod.named(name) }

  private func change(of problem: MergeProblem, task: Int) throws -> [[Float]] {
    try modules.indices.map { try #require(try problem.values.delta(task, $0)) }
  }

  /// Largest relative error over the modules. Bounds are twice what was measured.
  private func error(_ actual: [[Float]], _ expected: [[Float]]) -> Float {
    zip(actual, expected).map(relativeError).max() ?? .infinity
  }

  @Test(arguments: [
    ("ties_paper", ["density": 1] as [String: Float], Float(0)), ("dare_paper", ["drop": 0], 0),
    ("breadcrumbs_paper", ["beta": 0, "gamma": 1], 0), ("consensus", ["active": 1], 0), ("tall_masks", ["part": 1], 0),
    ("emr", ["part": 1], 2.4e-7), ("fusechat", [:], 0), ("layer_swap", [:], 0), ("lego", [:], 3e-7),
    ("knots", ["density": 1], 3e-7),
    ("tsv_m", [:], 3e-7), ("opcm", [:], 3e-7), ("twin_merging", ["lambda": 1], 3e-7),
  ])
  func oneTaskAloneIsItself(name: String, parameters: [String: Float], bound: Float) throws {
    let problem = problem([1], parameters: parameters)
    let found = error(try problem.merged(by: try method(name)), try change(of: problem, task: 0))
    #expect(found <= bound, "\(name): \(found)")
  }

  /// Equal changes are one change to methods that add directions up without counting them twice.
  @Test(arguments: ["ties_paper", "knots", "tsv_m", "fusechat", "emr"])
  func equalTasksAreOne(name: String) throws {
    let parameters: [String: Float] = name == "ties_paper" || name == "knots" ? ["density": 1] : [:]
    let problem = problem([1, 1], parameters: parameters)
    let found = error(try problem.merged(by: try method(name)), try change(of: problem, task: 0))
    #expect(found <= 3e-7, "\(name): \(found)")
  }

  @Test(arguments: [
    "ties_paper", "pcb", "consensus", "tall_masks", "emr", "fusechat", "layer_swap", "robust_merge", "knots", "tsv_m", "iso_c",
    "iso_cts", "breadcrumbs_paper", "twin_merging",
  ])
  func theOrderOfTasksDoesNotMatter(name: String) throws {
    let method = try method(name)
    let found = error(try problem([1, 2, 3]).merged(by: method), try problem([3, 1, 2]).merged(by: method))
    #expect(found <= 1e-6, "\(name): \(found)")
  }

  @Test(arguments: ["opcm"]) func theOrderOfTasksMatters(name: String) throws {
    let method = try method(name)
    #expect(error(try problem([1, 2, 3]).merged(by: method), try problem([3, 1, 2]).merged(by: method)) > 0.01)
  }

  /// Merging one more task onto a merged set is merging all of them.
  @Test func opcmGoesOnFromAMergedSet() throws {
    let method = try method("opcm")
    let all = try problem([1, 2, 3]).merged(by: method)
    let two = problem([1, 2])
    let merged = try two.merged(by: method)
    // What the sum was divided by: its length over the mean length of the tasks.
    let third = problem([3])
    func square(_ parts: [[Float]]) -> Double { parts.joined().reduce(0) { $0 + Double($1) * Double($1) } }
    let lengths = [try change(of: two, task: 0), try change(of: two, task: 1)].map { square($0).squareRoot() }
    let projected = try added(second: two)
    let lambda = (square(projected).squareRoot()) / ((lengths[0] + lengths[1]) / 2)
    let changes: [[MergedChange?]] = [merged.map { .dense($0) }, try change(of: third, task: 0).map { .dense($0) }]
    func next(_ parameters: [String: Float]) throws -> [[Float]] {
      try MergeProblem(
        modules: modules, tasks: [.init(name: "merged", weight: 1), .init(name: "new", weight: 1)], changes: changes,
        parameters: MergeParameters(parameters)
      ).merged(by: method)
    }
    let exact = error(try next(["merged": 2, "merged_lambda": Float(lambda)]), all)
    #expect(exact <= 1e-6, "\(exact)")
    let estimated = error(try next(["merged": 2]), all)
    #expect(estimated < 0.1, "\(estimated)")
  }

  /// The unscaled sum of a merge of two: OPCM's result, at the length that its parts have, which are orthogonal to each other.
  private func added(second problem: MergeProblem) throws -> [[Float]] {
    let first = try change(of: problem, task: 0)
    let merged = try problem.merged(by: try method("opcm"))
    // The first task's part of the result is its own change times one factor.
    let factor =
      zip(first.joined(), merged.joined()).reduce(0) { $0 + Double($1.0) * Double($1.1) }
      / first.joined().reduce(0) { $0 + Double($1) * Double($1) }
    return merged.map { $0.map { Float(Double($0) / factor) } }
  }

  /// All singular values of Iso-C are the mean of those of the sum, so that its length is mean * sqrt(rank).
  @Test func isoCKeepsTheSumOfSingularValues() throws {
    let merged = try problem([1, 2], parameters: ["over": 1]).merged(by: try method("iso_c"))
    for (module, change) in merged.enumerated() {
      let shape = modules[module].shape
      // C C^T C = mean^2 C for a matrix with equal singular values.
      let gram = (0..<shape[0]).map { row in
        (0..<shape[0]).map { other in
          (0..<shape[1]).reduce(0.0) { $0 + Double(change[row * shape[1] + $1]) * Double(change[other * shape[1] + $1]) }
        }
      }
      let trace = (0..<shape[0]).reduce(0.0) { $0 + gram[$1][$1] }
      let cubed = (0..<shape[0]).flatMap { row in
        (0..<shape[1]).map { column in
          Float((0..<shape[0]).reduce(0.0) { $0 + gram[row][$1] * Double(change[$1 * shape[1] + column]) })
        }
      }
      // Rank 4: two tasks of rank 2.
      #expect(relativeError(cubed, change.map { Float(Double($0) * trace / 4) }) < 1e-5)
    }
  }

  @Test(arguments: ["dare_paper", "della_paper", "lego", "knots"]) func seedsDecideOnEveryThread(name: String) async throws {
    let method = try method(name)
    let parameters: [String: Float] =
      name == "knots" ? ["inside": 3, "drop": 0.5] : name == "lego" ? [:] : ["drop": 0.5]
    let expected = try problem([1, 2, 3], parameters: parameters, result: 3).merged(by: method)
    let results = try await withThrowingTaskGroup(of: [[Float]].self) { group in
      for _ in 0..<3 {
        let problem = problem([1, 2, 3], parameters: parameters, result: 3)
        group.addTask { try problem.merged(by: method) }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results.allSatisfy { $0 == expected })
    if name != "lego" { #expect(try problem([1, 2, 3], parameters: parameters, seed: 4).merged(by: method) != expected) }
  }

  /// A merge by parts makes one result that is shared and one for each task, and shared + exclusive is the task again.
  @Test func twinPartsAddUpToTheTasks() throws {
    let method = try method("twin_merging")
    #expect(method.hasParts)
    let shared = try problem([1, 2], parameters: ["part": 0]).merged(by: method)
    for task in 0..<2 {
      let given: [String: Float] = ["part": Float(task + 1), "exclusive_rank": 4]
      let own = try problem([1, 2], parameters: given).merged(by: method)
      let sums = zip(shared, own).map { zip($0, $1).map(+) }
      let found = error(sums, try change(of: problem([1, 2]), task: task))
      #expect(found <= 4e-7, "\(found)")
    }
  }
}
