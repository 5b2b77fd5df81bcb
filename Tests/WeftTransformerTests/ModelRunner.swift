// SPDX-License-Identifier: Apache-2.0

import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// A model opened for a test: runs token lists through steps of a given size and collects logits.
final class ModelRunner {
  let pool: ThreadPool
  let weights: ModelWeights
  let transformer: Transformer
  let batch: Batch
  private let blocks: [[Int32]]

  init(
    _ path: String, threads: Int = 1, isa: ISA? = nil, kv: KVDType = .f32, sequences: Int = 8, length: Int = 128,
    deltaWidth: Int = 256
  ) throws {
    pool = try ThreadPool(threads: threads)
    weights = try ModelWeights(Checkpoint(path: path), pool: pool)
    let kernels = try isa.map(Kernels.init(isa:)) ?? Kernels.best()
    let perSequence = (length + 15) / 16
    let cache = try KVCache(config: weights.config, blockCount: perSequence * sequences, dtype: kv)
    transformer = try Transformer(
      weights: weights, cache: cache, kernels: kernels, pool: pool, maximumRows: 256, maximumLogitRows: 256,
      maximumDeltaWidth: deltaWidth)
    batch = Batch(maximumRows: 256, maximumSegments: sequences)
    // Blocks of a sequence lie scattered, so that the block table matters.
    blocks = (0..<sequences).map { sequence in (0..<perSequence).map { Int32($0 * sequences + sequence) } }
  }

  /// A sequence in a batch.
  struct Row {
    var tokens: [Int32]
    var mixture: ActiveMixture?
  }

  /// Logits [T, V] of every position of every sequence, `chunk` tokens of each in a step.
  func logits(_ rows: [Row], chunk: Int = .max) -> [[Float]] {
    var results = [[Float]](repeating: [], count: rows.count)
    var done = 0
    while rows.contains(where: { $0.tokens.count > done }) {
      batch.removeAll()
      var order: [(sequence: Int, count: Int)] = []
      for (index, row) in rows.enumerated() where row.tokens.count > done {
        let part = Array(row.tokens[done..<min(row.tokens.count, chunk == .max ? .max : done + chunk)])
        blocks[index].withUnsafeBufferPointer { table in
          part.withUnsafeBufferPointer {
            batch.append(
              tokens: $0, firstPosition: done, blockTable: table.baseAddress!, mixture: row.mixture, logits: .all)
          }
        }
        order.append((index, part.count))
      }
      transformer.forward(batch)
      var logitRow = 0
      for (sequence, count) in order {
        for _ in 0..<count {
          results[sequence] += transformer.logits(logitRow)
          logitRow += 1
        }
      }
      done = chunk == .max ? .max : done + chunk
    }
    return results
  }

  func logits(_ tokens: [Int32], mixture: ActiveMixture? = nil, chunk: Int = .max) -> [Float] {
    logits([Row(tokens: tokens, mixture: mixture)], chunk: chunk)[0]
  }

  /// Greedy continuation, one token at a time, of one sequence.
  func greedy(from tokens: [Int32], count: Int) -> [Int32] {
    var result = tokens
    var position = 0
    while result.count < count {
      batch.removeAll()
      let pending = Array(result[position...])
      blocks[0].withUnsafeBufferPointer { table in
        pending.withUnsafeBufferPointer {
          batch.append(tokens: $0, firstPosition: position, blockTable: table.baseAddress!, mixture: nil, logits: .last)
        }
      }
      transformer.forward(batch)
      position = result.count
      let logits = transformer.logits(0)
      result.append(Int32(logits.indices.max { logits[$0] < logits[$1] }!))
    }
    return result
  }
}
