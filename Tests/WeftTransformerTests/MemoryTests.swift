// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftTensors
import WeftTransformer

/// Memory that cannot be had is an error, whatever the size.
struct MemoryTests {
  @Test func caches() throws {
    let config = try ModelRunner(ModelRunner.golden("odd-heads")).weights.config
    // Two layers, one head of 12 padded to 16 in the values, 16 tokens.
    #expect(KVCache.blockBytes(config: config, dtype: .f32) == 2 * 16 * (12 + 16) * 4)
    #expect(try KVCache(config: config, blockCount: 3, dtype: .f16).byteCount == 3 * 2 * 16 * (12 + 16) * 2)
    for count in [Int.max, Int.max / 1000, 1 << 50] {
      #expect(throws: StorageError.self) { try KVCache(config: config, blockCount: count, dtype: .f32) }
    }
  }

  @Test(arguments: [(Int.max, 1), (1, Int.max), (1 << 55, 1), (1 << 45, 1 << 45)])
  func workspaces(rows: Int, logitRows: Int) throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"))
    let error = #expect(throws: ModelError.self) {
      try Transformer(
        weights: runner.weights, cache: runner.transformer.cache, kernels: Kernels(isa: .scalar), pool: runner.pool,
        maximumRows: rows, maximumLogitRows: logitRows, maximumDeltaWidth: 16)
    }
    guard case .storage(.outOfMemory) = error else {
      Issue.record("expected outOfMemory, found \(String(describing: error))")
      return
    }
  }
}
