// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

extension MergeMethod {
  /// mergekit's methods with rules of their own for each element.
  static let elementMethods: [MergeMethod] = [
    MergeMethod(
      "sce", source: "https://arxiv.org/abs/2408.07990", space: .delta, taskCount: 2...1024,
      parameters: [.topShare]
    ) { (problem, emit) throws(MergeError) in
      for module in problem.modules.indices {
        let changes = try problem.changesAsStored(module)
        let merged = selectCalculateErase(changes, share: problem.value(.topShare, module: module))
        try emit(module, .dense(problem.inFactorOrder(merged, module: module)))
      }
    },
    MergeMethod(
      "nearswap", source: "https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001", space: .delta, taskCount: 1...1,
      parameters: [
        MergeParameter("t", standard: nil, range: MergeParameter.share, text: "changes up to this size are taken over")
      ]
    ) { (problem, emit) throws(MergeError) in
      let t = problem.parameters
      for (index, module) in problem.modules.enumerated() {
        let limit = t.value("t", module: module, layerCount: problem.layerCount) ?? 0
        guard let change = try problem.values.delta(0, index) else { continue }
        try emit(index, .dense(change.map { min(limit / max($0.magnitude, 1e-6), 1) * $0 }))
      }
    },
    MergeMethod(
      "ram", source: ram, space: .delta, parameters: [.negligible]
    ) { (problem, emit) throws(MergeError) in
      for module in problem.modules.indices {
        let merged = reinforced(
          try problem.changesAsStored(module), negligible: problem.value(.negligible, module: module), ratio: 0, limit: 0)
        try emit(module, .dense(problem.inFactorOrder(merged, module: module)))
      }
    },
    MergeMethod(
      "ramplus_tl", source: ram, space: .delta, parameters: [.negligible, .ratio, .limit]
    ) { (problem, emit) throws(MergeError) in
      for module in problem.modules.indices {
        let merged = reinforced(
          try problem.changesAsStored(module), negligible: problem.value(.negligible, module: module),
          ratio: problem.value(.ratio, module: module), limit: problem.value(.limit, module: module))
        try emit(module, .dense(problem.inFactorOrder(merged, module: module)))
      }
    },
    MergeMethod(
      "arcee_fusion", source: "https://arcee.ai", space: .delta, taskCount: 1...1, needsBase: true
    ) { (problem, emit) throws(MergeError) in
      var generator = problem.generator()
      for module in problem.modules.indices {
        guard let change = try problem.changeAsStored(task: 0, module: module) else { continue }
        guard var base = try problem.values.base(module) else {
          throw .mismatch(
            location: problem.modules[module].name, expected: "the base's weights", found: "none")
        }
        let size = problem.storedSize(module)
        if problem.modules[module].isTransposed {
          base = LinearAlgebra.transposed(base, rows: size.columns, columns: size.rows)
        }
        let kept = importantPart(of: change, base: base, columns: size.columns, &generator)
        try emit(module, .dense(problem.inFactorOrder(kept, module: module)))
      }
    },
  ]

  /// SCE: select the elements that vary most, calculate a weight for each task from its energy, erase what is of the lesser
  /// sign.
  private static func selectCalculateErase(_ given: [[Float]], share: Float) -> [Float] {
    var changes = given
    let (tasks, count) = (Float(changes.count), changes[0].count)
    if share < 1 {
      var variances = [Float](repeating: 0, count: count)
      for element in 0..<count {
        var (sum, squares): (Float, Float) = (0, 0)
        for change in changes { sum += change[element] }
        let mean = sum / tasks
        for change in changes { squares += (change[element] - mean) * (change[element] - mean) }
        variances[element] = squares / tasks
      }
      let chosen = Int(Float(variances.count { $0 != 0 }) * share)
      MagnitudeOrder.keepLargest(chosen, of: &variances)
      for task in changes.indices {
        for element in 0..<count where variances[element] == 0 { changes[task][element] = 0 }
      }
    }
    var weights = changes.map { change in
      Float(change.reduce(0.0) { $0 + Double($1) * Double($1) } / Double(count))
    }
    let sum = weights.reduce(0, +)
    weights = weights.map { sum.magnitude < 1e-6 ? 1 / tasks : $0 / sum }
    return [Float](unsafeUninitializedCapacity: count) { result, initialized in
      for element in 0..<count {
        let sign = SignElection.sum.sign(of: element, in: changes, weights: weights)
        var (value, share): (Float, Float) = (0, 0)
        for task in changes.indices where changes[task][element] * sign > 0 {
          value += changes[task][element] * weights[task]
          share += weights[task]
        }
        result.initializeElement(at: element, to: value / max(share, 1e-6))
      }
      initialized = count
    }
  }

  private static let ram = "https://arxiv.org/abs/2601.13572"

  /// RAM: the mean of the tasks that change an element by more than `negligible`. Where only one does, its change counts
  /// 1 + ratio * min(shared / own, limit) times, by how many of its elements it shares and has alone.
  private static func reinforced(_ changes: [[Float]], negligible: Float, ratio: Float, limit: Float) -> [Float] {
    let count = changes[0].count
    var voters = [Int32](repeating: 0, count: count)
    for change in changes {
      for element in 0..<count where change[element].magnitude > negligible { voters[element] += 1 }
    }
    var result = [Float](repeating: 0, count: count)
    for change in changes {
      var (own, shared) = (0, 0)
      for element in 0..<count where change[element].magnitude > negligible {
        if voters[element] == 1 { own += 1 } else { shared += 1 }
      }
      let gain = 1 + ratio * max(0, min(Float(shared) / max(Float(own), negligible), limit))
      for element in 0..<count where change[element].magnitude > negligible {
        result[element] += voters[element] == 1 ? change[element] * gain : change[element] / Float(voters[element])
      }
    }
    return result
  }

  /// Arcee Fusion: of a change, the elements whose importance |tau| KL(softmax(theta row) | softmax(base row)) lies above the
  /// median by 1.5 times the distance of the quartiles. Of more than a million elements, a random million tells these.
  private static func importantPart(
    of change: [Float], base: [Float], columns: Int, _ generator: inout TorchGenerator
  ) -> [Float] {
    var importance = change.map(\.magnitude)
    for start in stride(from: 0, to: change.count, by: columns) {
      let row = start..<start + columns
      let divergence = divergence(of: row.map { base[$0] + change[$0] }, from: Array(base[row]))
      for i in row { importance[i] *= divergence }
    }
    func quantiles(_ shares: [Float]) -> [Float] {
      var sample = importance
      if sample.count > 1_000_000 {
        // All of the permutation is drawn, as torch does, so that the stream goes on as it does there.
        let order = generator.permutation(of: sample.count, first: sample.count)
        sample = order.prefix(1_000_000).map { importance[$0] }
      }
      sample.sort()
      return shares.map { sample[Int($0 * Float(sample.count - 1))] }
    }
    let median = quantiles([0.5])[0]
    let quartiles = quantiles([0.25, 0.75])
    let threshold = median + 1.5 * (quartiles[1] - quartiles[0])
    return change.indices.map { importance[$0] >= threshold ? change[$0] : 0 }
  }

  /// KL(softmax(x) + 1e-8 | softmax(y) + 1e-8)
  private static func divergence(of x: [Float], from y: [Float]) -> Float {
    let (p, q) = (softmax(x), softmax(y))
    var sum = 0.0
    for i in p.indices { sum += p[i] * log(p[i] / q[i]) }
    return Float(sum)
  }

  private static func softmax(_ row: [Float]) -> [Double] {
    let top = Double(row.max() ?? 0)
    let powers = row.map { exp(Double($0) - top) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum + 1e-8 }
  }
}

extension MergeParameter {
  fileprivate static let negligible = MergeParameter(
    "epsilon", standard: 1e-5, range: unit, text: "changes up to this size count as none")
  fileprivate static let ratio = MergeParameter("r", standard: 0.1, range: anyNumber, text: "how much lone changes gain")
  fileprivate static let limit = MergeParameter("alpha", standard: 0.2, range: unit, text: "limit of shared over lone changes")
  fileprivate static let topShare = MergeParameter(
    "select_topk", standard: 1, range: share, text: "share of the elements, by variance between tasks, that is merged")
}
