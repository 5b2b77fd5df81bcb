// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension MergeMethod {
  /// OPCM: the tasks are merged one after another, in their order; of each new one only what is not in the leading directions of
  /// those before is added, and the whole is kept at the mean length of the tasks.
  ///
  /// Source: https://arxiv.org/abs/2501.09522, fusion_bench (peft-reference.md, 2.3). A scale does not change singular vectors, so
  /// the sum goes on unscaled and is scaled once, at the end; changes are read twice, a module at a time.
  ///
  /// One more adapter onto a merged set: the first task is what a merge by this method made, `merged` is how many tasks it holds.
  /// Its factor before it was scaled (`merged_lambda`) is about sqrt(merged), which is taken when it is not given.
  static let opcm = MergeMethod(
    "opcm", source: "https://arxiv.org/abs/2501.09522", space: .delta, parameters: [alpha, mergedCount, mergedLambda]
  ) { (problem, emit) throws(MergeError) in
    let (merged, lengths) = try problem.projectedSums { (_, _) throws(MergeError) in }
    let count = Double(try problem.count(mergedCount))
    let mean = (count * lengths[0] + lengths.dropFirst().reduce(0, +)) / (count + Double(lengths.count - 1))
    let scale = merged > 0 ? mean / merged : 0
    _ = try problem.projectedSums { (module, sum) throws(MergeError) in
      switch sum {
      case .factors(var factors):
        factors.scale *= Float(scale)
        try emit(module, .factors(factors))
      case .dense(let values): try emit(module, .dense(values.map { $0 * Float(scale) }))
      }
    }
  }

  fileprivate static let alpha = MergeParameter(
    "alpha", standard: 0.5, range: 0...1, text: "share of the singular values whose directions are closed to further tasks")
  fileprivate static let mergedCount = MergeParameter(
    "merged", standard: 1, range: 1...65536, text: "how many tasks the first one holds already")
  fileprivate static let mergedLambda = MergeParameter(
    "merged_lambda", standard: 0, range: 0...65536, text: "what the first one was divided by; 0 for sqrt(merged)")
}

extension MergeProblem {
  /// Gives the unscaled sum of every module, and returns the length of all of it and of every task.
  fileprivate func projectedSums(
    _ emit: MergeMethod.Emit
  ) throws(MergeError) -> (merged: Double, tasks: [Double]) {
    let alpha = number(MergeMethod.alpha)
    let given = number(MergeMethod.mergedLambda)
    let lambda = given > 0 ? given : Double(try count(MergeMethod.mergedCount)).squareRoot()
    var (square, squares) = (0.0, [Double](repeating: 0, count: tasks.count))
    for (index, module) in modules.enumerated() {
      let cores = module.shape.count == 2 ? try ChangeCores(self, index) : nil
      var changes = cores?.cores ?? []
      if cores == nil { changes = try weightedChanges(index).map { $0.map(Double.init) } }
      var sum = changes[0].map { $0 * lambda }
      for (task, change) in changes.enumerated() {
        squares[task] += change.reduce(0) { $0 + $1 * $1 }
        guard task > 0 else { continue }
        var added = change
        if let cores { added = try cores.projected(change, beside: sum, alpha: alpha) }
        for element in sum.indices { sum[element] += added[element] }
      }
      square += sum.reduce(0) { $0 + $1 * $1 }
      if let cores {
        try emit(index, try cores.change(sum))
      } else {
        try emit(index, .dense(sum.map { Float($0) }))
      }
    }
    return (square.squareRoot(), squares.map { $0.squareRoot() })
  }
}

extension ChangeCores {
  /// A change without its diagonal in the singular vectors of what is merged, and without the block of the leading ones: those up
  /// to the first whose cumulated share of the singular values is above `alpha`.
  fileprivate func projected(_ change: [Double], beside merged: [Double], alpha: Double) throws(MergeError) -> [Double] {
    let directions = try SingularDirections(of: merged, rows: rows, columns: columns)
    let count = directions.count
    guard count > 0 else { return change }
    let total = directions.values.reduce(0, +)
    var (sum, closed) = (0.0, 0)
    for (index, value) in directions.values.enumerated() {
      sum += value
      // The reference takes the first of all when none is above.
      if sum / total > alpha {
        closed = index
        break
      }
    }
    do throws(LinearAlgebraError) {
      let left = try LinearAlgebra.product(
        directions.u, transposed: true, change, rows: count, inner: rows, columns: columns)
      var inside = try LinearAlgebra.product(
        left, transposed: false, directions.vT, transposed: true, rows: count, inner: columns, columns: count)
      for row in 0..<count {
        for column in 0..<count where row != column && (row >= closed || column >= closed) { inside[row * count + column] = 0 }
      }
      let scaled = try LinearAlgebra.product(directions.u, inside, rows: rows, inner: count, columns: count)
      let taken = try LinearAlgebra.product(scaled, directions.vT, rows: rows, inner: count, columns: columns)
      return zip(change, taken).map { $0 - $1 }
    } catch { throw .linearAlgebra(error) }
  }
}
