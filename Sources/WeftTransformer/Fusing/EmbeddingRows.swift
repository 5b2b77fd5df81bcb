// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Consecutive rows of an embedding, and what adapters do to them: `EmbeddingDelta` in numbers, as files get it.
struct EmbeddingRows {
  /// [rows * width]
  private(set) var values: [Float]
  /// The token, or position, of the first row.
  private let first: Int
  private let width: Int

  init(_ values: [Float], first: Int, width: Int) {
    self.values = values
    self.first = first
    self.width = width
  }

  private var count: Int { values.count / width }

  /// - Parameters:
  ///   - weight: for what is additive; the rest is there or not.
  ///   - toPositions: whether these are rows of learned positions, not of tokens.
  mutating func apply(_ delta: EmbeddingDelta, weight: Float, toPositions: Bool) {
    switch delta {
    case .positions(let matrix): if toPositions { add(matrix, weight) }
    case _ where toPositions: break
    case .lowRank(let factors): add(factors, weight)
    case .sum(let matrix): add(matrix, weight)
    case .rows(let tokens, let vectors):
      let rows = vectors.floats()
      for (index, token) in tokens.enumerated() where Int(token) >= first && Int(token) < first + count {
        for i in 0..<width { values[(Int(token) - first) * width + i] = rows[index * width + i] }
      }
    case .replace(let matrix): values = matrix.slice(rows: first..<first + count).floats()
    case .scale(let factors): for i in values.indices { values[i] *= factors[i % width] }
    case .rotate(let rotation): rotate(rotation)
    }
  }

  private mutating func add(_ matrix: Tensor, _ weight: Float) {
    let rows = matrix.slice(rows: first..<first + count).floats()
    for i in values.indices { values[i] += weight * rows[i] }
  }

  private mutating func add(_ factors: LowRank, _ weight: Float) {
    let (a, b) = (factors.a.floats(), factors.b.floats())
    let stride = factors.b.columns
    for row in 0..<count {
      for i in 0..<width {
        var sum = 0.0
        for r in 0..<factors.rank {
          sum += Double(b[i * stride + r]) * Double(a[r * factors.inputSize + first + row])
        }
        values[row * width + i] += Float(Double(weight) * Double(factors.scale) * sum)
      }
    }
  }

  private mutating func rotate(_ rotation: RotationDelta) {
    guard case .blocks(let blocks, nil) = rotation.form else { return }
    let (r, size) = (blocks.floats(), blocks.shape[1])
    for row in 0..<count {
      for block in 0..<width / size {
        let own = row * width + block * size
        let before = values[own..<own + size].map { Double($0) }
        for i in 0..<size {
          values[own + i] = Float((0..<size).reduce(0.0) { $0 + Double(r[(block * size + i) * size + $1]) * before[$1] })
        }
      }
    }
  }
}
