// SPDX-License-Identifier: Apache-2.0

extension MergeProblem {
  /// sum of w_i tau_i of a module as factors beside each other, exactly: A = [w_1 s_1 A_1; w_2 s_2 A_2; ...],
  /// B = [B_1, B_2, ...], with the given weights or those of the tasks. A task without the module has no part in it.
  ///
  /// The order of operations is peft's (`cat`): every element of A is multiplied by w_i, then by s_i.
  package func concatenated(_ module: Int, weights: [Float]? = nil) throws(MergeError) -> MergeFactors {
    var parts: [MergeFactors] = []
    var a: [Float] = []
    for task in tasks.indices {
      guard let own = try values.factors(task, module) else { continue }
      let weight = weights?[task] ?? weight(task: task, module: module)
      a += own.a.map { $0 * weight * own.scale }
      parts.append(own)
    }
    let rank = parts.reduce(0) { $0 + $1.rank }
    let out = modules[module].shape[0]
    var b = [Float](repeating: 0, count: out * rank)
    var first = 0
    for part in parts {
      for row in 0..<out {
        for r in 0..<part.rank { b[row * rank + first + r] = part.b[row * part.rank + r] }
      }
      first += part.rank
    }
    return MergeFactors(a: a, b: b, rank: rank, scale: 1)
  }
}
