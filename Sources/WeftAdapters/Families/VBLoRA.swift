// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
internal import WeftTensors

/// VB-LoRA (https://arxiv.org/abs/2405.15179): Delta = B A, whose factors are put together from pieces of L numbers, each a
/// mixture of k vectors of one bank: those with the largest logits, by the softmax of these.
///
/// Tensors of the model: `vblora_vector_bank` [vectors, L]. Per adapted module: `vblora_logits_A` [rank, in / L, vectors] and
/// `vblora_logits_B` [out / L, rank, vectors]; or (`save_only_topk_weights`) `_topk_indices` with a last axis of k in place of
/// the vectors, and `_topk_weights` of k - 1: what is missing to 1 is the weight of the last.
///
/// In memory it is a LoRA of this rank: rank * (in + out) floats of each module.
enum VBLoRA {
  private static let rules = AdapterConfig.rules(
    read: ["r", "num_vectors", "vector_length", "topk", "save_only_topk_weights"],
    inert: ["vblora_dropout", "init_vector_bank_bound", "init_logits_std"])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let rank = try config.rank("r", default: 4, base: base)
    let isSparse = try config.bool("save_only_topk_weights", default: false)
    let suffixes = isSparse ? ["_topk_indices", "_topk_weights"] : [""]
    let factors = ["vblora_logits_A", "vblora_logits_B"]
    let modules = try files.targetedModules(factors.flatMap { name in suffixes.map { name + $0 } }, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    try config.requireRoom(rank: rank, option: "r", modules: modules.map(\.module), base: base)
    let length = try config.integer("vector_length", default: 256)
    for module in modules.map(\.module) {
      let size = base.size(of: module)
      guard size.in.isMultiple(of: length), size.out.isMultiple(of: length) else {
        throw config.malformed(
          "vector_length", expected: "a divisor of [\(size.out), \(size.in)], the size of \(module.path)",
          found: config["vector_length"])
      }
    }
    let bank = try Bank(&files, length: length)
    for tensors in modules {
      let size = base.size(of: tensors.module)
      let pieces = (in: (size.in) / length, out: size.out / length)
      let a = try bank.mixtures(factors[0], [rank, pieces.in], isSparse, tensors, &files)
      let b = try bank.mixtures(factors[1], [pieces.out, rank], isSparse, tensors, &files)
      // Of B, piece by piece, the numbers of each rank lie together: [out / L, rank, L].
      var byRow = [Float](repeating: 0, count: b.count)
      for (index, value) in b.enumerated() {
        let (piece, r, place) = (index / length / rank, index / length % rank, index % length)
        byRow[(piece * length + place) * rank + r] = value
      }
      try builder.addLowRank(
        try makeTensor(a, [rank, size.in]), try makeTensor(byRow, [size.out, rank]), scale: 1, to: tensors.module)
    }
    return builder.deltas
  }

  /// The vectors that all pieces are mixed from.
  private struct Bank {
    let count: Int
    let length: Int
    /// Vectors in a mixture.
    let picked: Int
    /// [count, length]
    let vectors: [Float]

    init(_ files: inout AdapterFolder, length: Int) throws(AdapterError) {
      let config = files.config
      self.length = length
      count = try config.integer("num_vectors", default: 256)
      picked = try config.integer("topk", default: 2)
      guard picked <= count else {
        throw config.malformed("topk", expected: "at most num_vectors, which is \(count)", found: config["topk"])
      }
      vectors = try files.takeFloats(try files.requireModelTensor("vblora_vector_bank"), shape: [count, length])
    }

    /// The pieces of a factor, [shape, length].
    func mixtures(
      _ factor: String, _ shape: [Int], _ isSparse: Bool, _ tensors: ModuleTensors, _ files: inout AdapterFolder
    ) throws(AdapterError) -> [Float] {
      let mixtures =
        try isSparse
        ? stored(factor, shape, tensors, &files)
        : largest(try files.takeFloats(try tensors.name(factor), shape: shape + [count]))
      var result: [Float] = []
      result.reserveCapacity(mixtures.count / picked * length)
      for start in stride(from: 0, to: mixtures.count, by: picked) {
        for place in 0..<length {
          var sum: Float = 0
          for (vector, weight) in mixtures[start..<start + picked] { sum += weight * vectors[vector * length + place] }
          result.append(sum)
        }
      }
      return result
    }

    private typealias Mixture = [(vector: Int, weight: Float)]

    /// The softmax of the largest logits of each row of `count`; of equal ones the first.
    private func largest(_ logits: [Float]) -> Mixture {
      var mixtures: Mixture = []
      for start in stride(from: 0, to: logits.count, by: count) {
        let order = (0..<count).sorted { (logits[start + $0], $1) > (logits[start + $1], $0) }.prefix(picked)
        let best = logits[start + order[0]]
        let weights = order.map { exp(logits[start + $0] - best) }
        let total = weights.reduce(0, +)
        for (vector, weight) in zip(order, weights) { mixtures.append((vector, weight / total)) }
      }
      return mixtures
    }

    private func stored(
      _ factor: String, _ shape: [Int], _ tensors: ModuleTensors, _ files: inout AdapterFolder
    ) throws(AdapterError) -> Mixture {
      let name = try tensors.name(factor + "_topk_indices")
      let vectors = try files.takeIndices(name, shape: shape + [picked], below: count)
      let weights = try files.takeFloats(try tensors.name(factor + "_topk_weights"), shape: shape + [picked - 1])
      var mixtures: Mixture = []
      for (index, vector) in vectors.enumerated() {
        let (piece, place) = (index / picked, index % picked)
        let own = weights[piece * (picked - 1)..<(piece + 1) * (picked - 1)]
        mixtures.append((vector, place < picked - 1 ? own[own.startIndex + place] : 1 - own.reduce(0, +)))
      }
      return mixtures
    }
  }
}
