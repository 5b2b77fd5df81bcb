// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors
import WeftTransformer

/// What rounding keys and values costs, and what it saves.
struct KVTypeTests {
  static let demo = TestPaths.package + "/Models/demo/base.gguf"

  /// Models with the largest error of a logit, relative to the largest logit, that was measured for F16 and Q8_0 against F32.
  /// The goldens are random and sharp. The demo's Q8_0 weights round activations, which hides the difference.
  static let models: [(path: String, f16: Float, q8_0: Float)] = [
    (ModelRunner.golden("gqa-tied"), 0.0017, 0.0226), (ModelRunner.golden("odd-heads"), 0.0013, 0.024), (demo, 0.0085, 0.0086),
  ]

  @Test(arguments: models)
  func errorOfLogits(model: (path: String, f16: Float, q8_0: Float)) throws {
    func logits(_ kv: KVDType) throws -> [Float] {
      let runner = try ModelRunner(model.path, kv: kv)
      return runner.logits(tokens)
    }
    // What the model itself goes on with, so that a trained model sees what it knows.
    let begin = try ModelRunner(model.path)
    let tokens = begin.greedy(from: randomTokens(6, vocabulary: begin.weights.config.vocabularySize, seed: 3), count: 120)
    let exact = try logits(.f32)
    let (f16, q8_0) = (relativeError(try logits(.f16), exact), relativeError(try logits(.q8_0), exact))
    #expect(f16 <= model.f16 * 2)
    #expect(q8_0 <= model.q8_0 * 2)
    #expect(q8_0 != f16, "was it used?")
  }

  /// 34 bytes hold what takes 64 in F16, where heads are whole blocks of 32; a tail has a scale of its own.
  @Test func bytes() throws {
    let config = try ModelRunner(Self.demo).weights.config
    #expect(config.headDimension == 64)
    let f16 = KVCache.blockBytes(config: config, dtype: .f16)
    #expect(KVCache.blockBytes(config: config, dtype: .q8_0) * 64 == f16 * 34)
    #expect(try KVCache(config: config, blockCount: 5, dtype: .q8_0).byteCount * 64 == 5 * f16 * 34)
    #expect(KVDType.q8_0.keyBytes(headDimension: 40) == 16 * (40 + 2 * 2))
    #expect(KVDType.q8_0.valueBytes(headDimension: 40) == 16 * (48 + 2 * 2))
  }
}
