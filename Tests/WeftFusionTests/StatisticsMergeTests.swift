// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFusion
import WeftTensors

/// Methods that read statistics, against tools/make_statistics_merge_goldens.py, and the laws that tie them together.
struct StatisticsMergeTests {
  static let shapes = [[8, 6], [5, 7], [9], [6, 6]]
  static let names = (0..<4).map { "model.layers.\($0).mlp.up_proj" }

  private let inputs: Golden
  private let expected: Golden

  init() throws {
    inputs = try Golden("merge-statistics/problem.safetensors")
    expected = try Golden("merge-statistics/expected.safetensors")
  }

  /// - Parameters:
  ///   - isDense: whether changes of low rank are given multiplied out only.
  ///   - modules: those of the problem.
  ///   - leavingOut: kinds of statistics that are not given.
  private func problem(
    _ parameters: [String: Float] = [:], isDense: Bool = false, modules: [Int] = [0, 1, 2, 3], diagonal: Bool = false,
    leavingOut: Set<String> = []
  ) throws -> MergeProblem {
    var changes: [[MergedChange?]] = []
    var statistics: [MergeStatistics] = []
    for task in 0..<3 {
      changes.append(
        try modules.map { module in
          let place = "\(task).\(module)"
          if inputs.names.contains("\(place).delta") { return .dense(try inputs.floats("\(place).delta")) }
          guard inputs.names.contains("\(place).a") else { return nil }
          let factors = MergeFactors(
            a: try inputs.floats("\(place).a"), b: try inputs.floats("\(place).b"), rank: 2,
            scale: try inputs.floats("\(place).scale")[0])
          return isDense ? .dense(multiplied(factors, Self.shapes[module])) : .factors(factors)
        })
      var tensors: [String: Tensor] = [:]
      for module in modules {
        for kind in MergeStatistics.Kind.allCases where !leavingOut.contains(kind.rawValue) {
          let name = "\(task).\(module).\(kind.rawValue)"
          if inputs.names.contains(name), !(diagonal && kind == .gram) {
            tensors[MergeStatistics.name(Self.names[module], kind)] = try inputs.tensor(name)
          }
        }
        if diagonal, inputs.names.contains("\(task).\(module).gram") {
          let (gram, size) = (try inputs.floats("\(task).\(module).gram"), Self.shapes[module][1])
          tensors[MergeStatistics.name(Self.names[module], .gramDiagonal)] = try Tensor(
            (0..<size).map { gram[$0 * (size + 1)] }, shape: [size])
        }
      }
      statistics.append(
        MergeStatistics(
          location: "task\(task)", origin: .init(base: "", data: "", exampleCount: 1, tokenCount: 20, fisher: "empirical"),
          tensors: tensors))
    }
    let all = changes
    var problem = MergeProblem(
      tasks: zip(0..<3, [1, 0.5, 2]).map { .init(name: "task\($0)", weight: $1) },
      modules: modules.map { .init(name: Self.names[$0], shape: Self.shapes[$0], layer: $0) },
      values: .init(
        delta: { (task, module) throws(MergeError) in all[task][module].map { multiplied($0, Self.shapes[modules[module]]) } },
        factors: { (task, module) throws(MergeError) in
          guard case .factors(let factors) = all[task][module] else { return nil }
          return factors
        }),
      parameters: MergeParameters(parameters))
    problem.statistics = statistics
    return problem
  }

  private func merged(_ method: String, space: MergeSpace? = nil, _ problem: MergeProblem) throws -> [MergedChange] {
    var result: [MergedChange] = []
    try MergeMethod.named(method, space: space).merge(problem) { (module, change) throws(MergeError) in
      #expect(module == result.count)
      result.append(change)
    }
    return result
  }

  private static let vectorless = [0, 1, 3]

  struct Case: Sendable {
    let name: String
    let parameters: [String: Float]
    let error: Float
    /// Whether changes of low rank give a low rank.
    var staysLow = false
    var modules = [0, 1, 2, 3]
    var diagonal = false

    var method: String { String(name.split(separator: "-")[0]) }
  }

  /// With the largest error of a module relative to its largest element, measured with factors and with dense changes.
  static let cases = [
    Case(name: "fisher", parameters: [:], error: 1.4e-7),
    Case(name: "fisher-floor", parameters: ["fisher_floor": 1e-4], error: 1.4e-7),
    Case(name: "fisher-normalized", parameters: ["normalize_fisher": 1], error: 1.4e-7),
    Case(name: "fisher_factors", parameters: [:], error: 7.6e-8, staysLow: true, modules: vectorless),
    Case(
      name: "fisher_factors-normalized", parameters: ["normalize_fisher": 1], error: 1.4e-7, staysLow: true, modules: vectorless
    ),
    Case(name: "regmean", parameters: [:], error: 7.6e-8, staysLow: true),
    Case(name: "regmean-whole", parameters: ["non_diagonal": 1], error: 1.4e-7, staysLow: true),
    Case(name: "regmean-diagonal", parameters: [:], error: 1.4e-7, staysLow: true, diagonal: true),
    Case(name: "mats", parameters: ["iterations": 3], error: 1.4e-7),
    Case(name: "mats-base", parameters: ["iterations": 2, "start": 0], error: 1.4e-7),
    Case(name: "mats_kfac", parameters: ["iterations": 4], error: 1.4e-7),
  ]

  @Test(arguments: cases, [false, true]) func methodsGiveWhatTheScriptGives(one: Case, isDense: Bool) throws {
    guard !(isDense && one.method == "fisher_factors") else { return }
    let problem = try problem(one.parameters, isDense: isDense, modules: one.modules, diagonal: one.diagonal)
    var largest: Float = 0
    for (index, change) in try merged(one.method, problem).enumerated() {
      let module = one.modules[index]
      if case .factors = change { #expect(one.staysLow && !isDense) }
      if one.staysLow, !isDense, module != 2 {
        guard case .factors = change else {
          Issue.record("\(one.name), module \(module): a dense change")
          continue
        }
      }
      largest = max(
        largest, relativeError(multiplied(change, Self.shapes[module]), try expected.floats("\(one.name).\(module)")))
    }
    #expect(largest <= one.error * 2)
  }

  /// Conjugate gradients that run to their end are RegMean with whole matrices, wherever they begin.
  @Test(arguments: [0, 1] as [Float]) func matchingToItsEndIsRegularMean(start: Float) throws {
    // Every column of module 1 and 3 is read.
    let exact = try merged("regmean", problem(["non_diagonal": 1], modules: [1, 3]))
    let matched = try merged("mats", problem(["iterations": 200, "start": start, "tol": 0], modules: [1, 3]))
    for (index, (left, right)) in zip(matched, exact).enumerated() {
      let shape = Self.shapes[[1, 3][index]]
      // Measured: 9.9e-8.
      #expect(relativeError(multiplied(left, shape), multiplied(right, shape)) < 2e-7)
    }
  }

  /// Where all tasks know as much, Fisher merging is the mean.
  @Test func equalKnowledgeIsTheMean() throws {
    let floored = try merged("fisher", problem(["fisher_floor": 1], modules: [3]))
    var unread = try problem(modules: [3])
    #expect { try merged("linear", space: .delta, unread) } throws: { "\($0)".contains("expected no statistics") }
    unread.statistics = []
    let mean = try merged("linear", space: .delta, unread)
    #expect(relativeError(multiplied(floored[0], [6, 6]), multiplied(mean[0], [6, 6])) < 3e-7)
  }

  @Test func refusals() throws {
    var bare = try problem()
    bare.statistics = []
    #expect { try merged("fisher", bare) } throws: { "\($0)".contains("expected one file for each of 3 tasks") }
    var partial = try problem(modules: [0])
    partial.statistics[2] = try problem(modules: [0], leavingOut: ["gram"]).statistics[2]
    #expect { try merged("regmean", partial) } throws: { "\($0)".contains("task2") && "\($0)".contains("found none") }
    #expect { try merged("fisher_factors", problem(isDense: true, modules: [0])) } throws: { "\($0)".contains("no low rank") }
    #expect { try merged("fisher_factors", problem(modules: [0], leavingOut: ["fisher_a"])) } throws: {
      "\($0)".contains("task0: expected fisher_a of a module")
    }
    #expect { try merged("fisher_factors", problem(modules: [0, 2])) } throws: { "\($0)".contains("no low rank") }
    var crossed = try problem(modules: [0])
    crossed.statistics[1] = MergeStatistics(
      location: "other", origin: .init(base: "b", data: "", exampleCount: 1, tokenCount: 1, fisher: "none"), tensors: [:])
    #expect { try merged("mats", crossed) } throws: { "\($0)".contains("other: base: expected , as task0 has, found b") }
    var foreign = try problem(modules: [0])
    foreign.statistics[1] = try problem(modules: [3]).statistics[1]
    #expect { try merged("mats", foreign) } throws: { "\($0)".contains("gram or gram_diagonal of a module to be merged") }
  }
}

/// A change multiplied out, with sums in f64.
private func multiplied(_ change: MergedChange, _ shape: [Int]) -> [Float] {
  switch change {
  case .dense(let values): values
  case .factors(let factors): multiplied(factors, shape)
  }
}

private func multiplied(_ factors: MergeFactors, _ shape: [Int]) -> [Float] {
  (0..<shape[0]).flatMap { row in
    (0..<shape[1]).map { column in
      var sum = 0.0
      for r in 0..<factors.rank {
        sum += Double(factors.b[row * factors.rank + r]) * Double(factors.a[r * shape[1] + column])
      }
      return Float(Double(factors.scale) * sum)
    }
  }
}
