// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension MergeMethod {
  /// KnOTS: the changes of all tasks beside each other share one set of left singular vectors; what they are in its coordinates is
  /// merged by another method, over all modules together.
  ///
  /// Source: https://arxiv.org/abs/2410.19735, repository baa35e8 (peft-reference.md, 2.3): singular values up to 1e-5 are left
  /// out (and those below 1e-6 of the largest, which are rounding). A vector is its own coordinates. The coordinates are made anew
  /// for every reading: four times for `ties`, once for a sum.
  static let knots = MergeMethod(
    "knots", source: "https://arxiv.org/abs/2410.19735", space: .delta, parameters: [inside, density, drop, .lambda]
  ) { (problem, emit) throws(MergeError) in
    let kind = Inside(rawValue: try problem.count(inside)) ?? .ties
    // The generator begins anew with every reading of the modules, so that all readings see the same.
    var generator = problem.generator()
    var bases: [Int: AlignedChanges] = [:]
    func coordinates(_ module: Int) throws(MergeError) -> [[Float]] {
      if module == 0 { generator = problem.generator() }
      let aligned = try AlignedChanges(problem, module)
      bases = [module: aligned]
      guard kind == .dare || kind == .dareTies else { return aligned.coordinates }
      return aligned.coordinates.enumerated().map { task, own in
        dropped(own, rate: Float(problem.number(drop, module: module, task: task)), &generator)
      }
    }
    func give(_ module: Int, _ merged: [Float]) throws(MergeError) {
      guard let change = try bases[module]?.change(problem.scaled(merged, module)) else { return }
      try emit(module, change)
    }
    if kind == .sum || kind == .dare {
      for module in problem.modules.indices {
        try give(module, problem.sum(try coordinates(module)))
      }
    } else {
      let merge = TrimElectMerge(density: problem.number(density), aggregate: .mean)
      try merge.run(modules: problem.modules.indices) { module throws(MergeError) in
        try coordinates(module)
      } emit: { (module, merged) throws(MergeError) in
        try give(module, merged)
      }
    }
  }

  private enum Inside: Int {
    case ties, sum, dare, dareTies
  }

  private static let inside = MergeParameter(
    "inside", words: ["ties", "sum", "dare", "dare_ties"], standard: 0, text: "how the aligned changes are merged")
  private static let density = MergeParameter(
    "density", standard: 0.3, range: 0...1, text: "share of the aligned elements that a task keeps for ties")
  private static let drop = MergeParameter(
    "drop", standard: 0.9, range: 0...0.999, isOfTask: true, text: "chance of an aligned element to be dropped for dare")
}

/// The changes of one module in coordinates that all tasks share.
private struct AlignedChanges {
  /// [count * in] of every task: diag(values) V_t^T.
  private(set) var coordinates: [[Float]] = []
  private let cores: ChangeCores?
  /// [rows, count]: the left vectors, in the space of the cores.
  private let u: [Double]
  private let count: Int

  init(_ problem: MergeProblem, _ module: Int) throws(MergeError) {
    guard problem.modules[module].shape.count == 2 else {
      (cores, u, count) = (nil, [], 0)
      coordinates = try problem.weightedChanges(module)
      return
    }
    let cores = try ChangeCores(problem, module)
    let beside = (0..<cores.rows).flatMap { row in
      cores.cores.flatMap { $0[row * cores.columns..<(row + 1) * cores.columns] }
    }
    let directions = try SingularDirections(
      of: beside, rows: cores.rows, columns: cores.columns * cores.cores.count, above: 1e-5)
    (self.cores, u, count) = (cores, directions.u, directions.count)
    guard count > 0 else {
      coordinates = cores.cores.map { _ in [] }
      return
    }
    do throws(LinearAlgebraError) {
      for core in cores.cores {
        let own = try LinearAlgebra.product(
          u, transposed: true, core, rows: count, inner: cores.rows, columns: cores.columns)
        coordinates.append(try cores.outer(own, count: count).map { Float($0) })
      }
    } catch { throw .linearAlgebra(error) }
  }

  /// What coordinates stand for.
  func change(_ merged: [Float]) throws(MergeError) -> MergedChange {
    guard let cores else { return .dense(merged) }
    return try cores.change(left: u, outer: merged, count: count)
  }
}
