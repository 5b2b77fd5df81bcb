// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension ActiveMixture {
  /// What stands before the tokens of a sequence that runs with a mixture. It takes the positions from 0 on, and the first token
  /// stands behind it.
  package enum Prompt: Sendable, Equatable {
    case none
    /// Rows of a batch like those of tokens: the tokens `Batch.promptToken(0)` to `Batch.promptToken(count - 1)`, in order,
    /// appended with this mixture at positions 0 ..< count, in one step or several.
    case rows(count: Int)
    /// Keys and values that `Transformer.writePrefix` writes before the first step of the sequence.
    case keysAndValues(count: Int)

    /// Positions that it takes.
    package var count: Int {
      switch self {
      case .none: 0
      case .rows(let count), .keysAndValues(let count): count
      }
    }
  }

  /// The prompt of the mixture; it has one at most.
  package var prompt: Prompt {
    for entry in entries {
      switch entry.adapter._withUnsafeGuaranteedRef({ $0.prompt }) {
      case .embeddings(_, let count): return .rows(count: count)
      case .keysAndValues(_, let count, _): return .keysAndValues(count: count)
      case nil: continue
      }
    }
    return .none
  }

  /// Positions that the prompt of the mixture takes; 0 without one.
  package var promptCount: Int { prompt.count }
}

extension Batch {
  /// The token that stands for row `index` of the prompt of a mixture (`ActiveMixture.Prompt.rows`). It is negative, so that it
  /// is no token of a vocabulary.
  package static func promptToken(_ index: Int) -> Int32 { -1 - Int32(index) }
}

extension Transformer {
  /// Writes the keys and values of the mixture's prompt to positions 0 ..< count of a sequence; nothing when its prompt is none
  /// or has rows. Not during a step.
  /// - Parameter blockTable: covers those positions. Blocks that it shares with other sequences must be those of sequences with
  ///   the same prompt: what is written is the same.
  package func writePrefix(of mixture: ActiveMixture, blockTable: UnsafePointer<Int32>) {
    let d = config.headDimension
    for entry in mixture.entries {
      guard case .keysAndValues(let prefix, let count, let heads)? = entry.adapter._withUnsafeGuaranteedRef({ $0.prompt })
      else {
        continue
      }
      for position in 0..<count {
        let block = Int(blockTable[position / Kernels.kvBlockTokens])
        for layer in 0..<config.layerCount {
          let own = prefix + (position * 2 * config.layerCount + 2 * layer) * heads * d
          for head in 0..<heads {
            let keys = cache.keys(layer: layer, head: head) + block * cache.blockStride
            kernels.storeKV(
              keys: keys, values: keys + cache.keyBytes, own + head * d, own + (heads + head) * d, headDimension: d,
              slot: position % Kernels.kvBlockTokens, cache.dtype)
          }
        }
      }
    }
  }
}
