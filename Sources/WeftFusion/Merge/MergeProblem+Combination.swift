// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension MergeProblem {
  /// The sum of the tasks with coefficients that follow from their products: as factors where all are of low rank.
  func combination(
    _ module: Int, _ coefficients: (GramMatrix) throws(MergeError) -> [Double]
  ) throws(MergeError) -> MergedChange {
    guard try hasFactorsOnly(module) else {
      let changes = try changesAsStored(module)
      let shares = try coefficients(GramMatrix(of: changes.map { $0[...] })).map { Float($0) }
      return .dense(inFactorOrder(MergeSteps().combine(changes, weights: shares), module: module))
    }
    let gram = try factorGram(module)
    return .factors(try concatenated(module, weights: try coefficients(gram).map { Float($0) }))
  }

  /// The same with coefficients for each row of the weight, or for each of its columns.
  func rowCombination(
    _ module: Int, byColumns: Bool, _ coefficients: (GramMatrix) throws(MergeError) -> [Double]
  ) throws(MergeError) -> MergedChange {
    var changes = try changesAsStored(module)
    var (rows, columns) = storedSize(module)
    let size = (rows, columns)
    if byColumns {
      changes = changes.map { LinearAlgebra.transposed($0, rows: size.0, columns: size.1) }
      swap(&rows, &columns)
    }
    var result = [Float](repeating: 0, count: rows * columns)
    for row in 0..<rows {
      let range = row * columns..<(row + 1) * columns
      let shares = try coefficients(GramMatrix(of: changes.map { $0[range] })).map { Float($0) }
      for (task, share) in shares.enumerated() {
        for i in range { result[i] += share * changes[task][i] }
      }
    }
    if byColumns { result = LinearAlgebra.transposed(result, rows: rows, columns: columns) }
    return .dense(inFactorOrder(result, module: module))
  }

  /// <tau_i, tau_j> = s_i s_j sum of (B_i^T B_j) * (A_i A_j^T), elementwise: nothing of the size of a weight is made.
  private func factorGram(_ module: Int) throws(MergeError) -> GramMatrix {
    let shape = modules[module].shape
    var factors: [(a: [Double], b: [Double], rank: Int, scale: Double)?] = []
    for task in tasks.indices {
      factors.append(
        try values.factors(task, module).map { ($0.a.map(Double.init), $0.b.map(Double.init), $0.rank, Double($0.scale)) })
    }
    var products = [Double](repeating: 0, count: tasks.count * tasks.count)
    for i in tasks.indices {
      for j in 0...i {
        guard let left = factors[i], let right = factors[j] else { continue }
        do throws(LinearAlgebraError) {
          let ofA = try LinearAlgebra.product(
            left.a, transposed: false, right.a, transposed: true, rows: left.rank, inner: shape[1], columns: right.rank)
          let ofB = try LinearAlgebra.product(
            left.b, transposed: true, right.b, transposed: false, rows: left.rank, inner: shape[0], columns: right.rank)
          var sum = 0.0
          for k in ofA.indices { sum += ofA[k] * ofB[k] }
          sum *= left.scale * right.scale
          products[i * tasks.count + j] = sum
          products[j * tasks.count + i] = sum
        } catch { throw .linearAlgebra(error) }
      }
    }
    return GramMatrix(count: tasks.count, products: products)
  }
}
