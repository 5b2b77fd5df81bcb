// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// What a resident adapter does to the embedding of a token; see `EmbeddingDelta`.
enum EmbeddingOperation {
  /// A' [vocabulary, rank] and B [hidden, rank].
  case lowRank(a: UnsafePointer<Float>, b: UnsafePointer<Float>, rank: Int, scale: Float)
  case sum(Tensor)
  case positions(Tensor)
  case rows(tokens: UnsafePointer<Int32>, count: Int, vectors: UnsafePointer<Float>)
  case replace(Tensor)
  case scale(UnsafePointer<Float>)
  case blocks(UnsafePointer<Float>, size: Int)

  static func all(_ deltas: [EmbeddingDelta], _ memory: ResidentMemory) throws(StorageError) -> [EmbeddingOperation] {
    var operations: [EmbeddingOperation] = []
    for delta in deltas {
      switch delta {
      case .lowRank(let factors):
        let (a, rank, vocabulary) = (factors.valuesOfA(), factors.rank, factors.inputSize)
        var turned = [Float](repeating: 0, count: a.count)
        for r in 0..<rank { for token in 0..<vocabulary { turned[token * rank + r] = a[r * vocabulary + token] } }
        operations.append(
          .lowRank(a: try memory.keep(turned), b: try memory.keep(factors.valuesOfB()), rank: rank, scale: factors.scale))
      case .sum(let matrix): operations.append(.sum(matrix))
      case .positions(let matrix): operations.append(.positions(matrix))
      case .rows(let tokens, let vectors):
        operations.append(
          .rows(tokens: try memory.keep(tokens), count: tokens.count, vectors: try memory.keep(vectors.floats())))
      case .replace(let weight): operations.append(.replace(weight))
      case .scale(let factors): operations.append(.scale(try memory.keep(factors)))
      case .rotate(let rotation):
        guard case .blocks(let blocks, nil) = rotation.form else { preconditionFailure("embeddings turn in blocks") }
        operations.append(
          .blocks(try memory.keep(blocks.floats()), size: blocks.shape[1]))
      }
    }
    return operations
  }

  /// Changes the embedding `e` [hidden] of a token. `weight` is that of the adapter, for what is additive.
  @inline(__always)
  func apply(_ e: UnsafeMutablePointer<Float>, token: Int32, weight: Float, hiddenSize: Int) {
    switch self {
    case .lowRank(let a, let b, let rank, let scale):
      let column = a + Int(token) * rank
      for h in 0..<hiddenSize {
        var sum: Float = 0
        for r in 0..<rank { sum += b[h * rank + r] * column[r] }
        e[h] += weight * scale * sum
      }
    case .sum(let matrix): matrix.addRow(Int(token), to: e, weight: weight)
    case .positions: break
    case .rows(let tokens, let count, let vectors):
      var (low, high) = (0, count)
      while low < high {
        let middle = (low + high) / 2
        if tokens[middle] < token { low = middle + 1 } else { high = middle }
      }
      if low < count, tokens[low] == token { e.update(from: vectors + low * hiddenSize, count: hiddenSize) }
    case .replace(let weight): weight.dequantizeRow(Int(token), into: e)
    case .scale(let factors): for h in 0..<hiddenSize { e[h] *= factors[h] }
    case .blocks(let blocks, let size):
      withUnsafeTemporaryAllocation(of: Float.self, capacity: size) { before in
        for block in 0..<hiddenSize / size {
          let own = e + block * size
          for i in 0..<size { before[i] = own[i] }
          for i in 0..<size {
            var sum: Float = 0
            for j in 0..<size { sum += blocks[(block * size + i) * size + j] * before[j] }
            own[i] = sum
          }
        }
      }
    }
  }

  /// Adds what the adapter adds to the learned position of a token.
  @inline(__always)
  func applyPosition(_ e: UnsafeMutablePointer<Float>, position: Int, weight: Float) {
    if case .positions(let matrix) = self { matrix.addRow(position, to: e, weight: weight) }
  }
}

extension Tensor {
  /// e += weight * row.
  fileprivate func addRow(_ row: Int, to e: UnsafeMutablePointer<Float>, weight: Float) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: columns) { values in
      guard let base = values.baseAddress else { return }
      dequantizeRow(row, into: base)
      for i in 0..<columns { e[i] += weight * base[i] }
    }
  }
}
