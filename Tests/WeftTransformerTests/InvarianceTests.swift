// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors
import WeftTransformer

/// What a sequence computes depends on its tokens alone, bit for bit: not on how its prompt was cut, not on its neighbours in the
/// batch, not on the number of threads, not on what was in the cache before.
struct InvarianceTests {
  /// One of each storage; odd heads have a tail in every tile.
  static let models = ["gqa-tied", "gqa-tied-f16", "odd-heads", "wide-q8_0/model.gguf", "wide-q4_0/model.gguf"]
  static let vocabulary = 96
  /// Longer than a chunk of keys, than blocks of the cache and slices of rows, and shorter than all of them.
  static let lengths = [70, 1, 17, 16, 3, 33, 24, 5]

  static var rows: [ModelRunner.Row] {
    lengths.enumerated().map { index, length in
      ModelRunner.Row(tokens: randomTokens(length, vocabulary: vocabulary, seed: UInt64(index)))
    }
  }

  @Test(arguments: models, [KVDType.f32, .f16, .q8_0]) func prefillInPieces(model: String, kv: KVDType) throws {
    let tokens = Self.rows[0].tokens
    for isa in availableTiers {
      let runner = try ModelRunner(ModelRunner.golden(model), isa: isa, kv: kv)
      let whole = runner.logits(tokens)
      for chunk in [1, 3, 16, 17] {
        #expect(sameBits(runner.logits(tokens, chunk: chunk), whole), "\(isa.name), \(chunk) tokens a step")
      }
    }
  }

  @Test(arguments: models, [KVDType.f32, .f16, .q8_0]) func eightTogether(model: String, kv: KVDType) throws {
    for isa in availableTiers {
      let runner = try ModelRunner(ModelRunner.golden(model), isa: isa, kv: kv)
      let alone = Self.rows.map { runner.logits($0.tokens) }
      for chunk in [nil, 5] {
        let together = runner.logits(Self.rows, chunk: chunk)
        for index in alone.indices {
          #expect(sameBits(together[index], alone[index]), "\(isa.name), sequence \(index)")
        }
      }
    }
  }

  @Test(arguments: models, [KVDType.f32, .f16, .q8_0]) func anyNumberOfThreads(model: String, kv: KVDType) throws {
    for isa in availableTiers {
      let results = try (1...3).map { threads in
        let runner = try ModelRunner(ModelRunner.golden(model), threads: threads, isa: isa, kv: kv)
        return runner.logits(Self.rows) + runner.logits(Array(Self.rows[1...4]), chunk: 1)
      }
      for threads in [2, 3] {
        for (one, many) in zip(results[0], results[threads - 1]) {
          #expect(sameBits(many, one), "\(isa.name), \(threads) threads")
        }
      }
    }
  }

  /// Rows that want no logits change nothing for those that do.
  @Test(arguments: models) func logitsOfSomeRows(model: String) throws {
    let runner = try ModelRunner(ModelRunner.golden(model))
    let width = runner.weights.config.vocabularySize
    let all = runner.logits(Self.rows)
    runner.batch.removeAll()
    let wanted: [Batch.Logits] = [.last, .none, .all, .none, .last, .last, .none, .all]
    var expected: [[Float]] = []
    for (index, (row, logits)) in zip(Self.rows, wanted).enumerated() {
      runner.append(row.tokens[...], to: index, mixture: nil, logits: logits)
      let count =
        switch logits {
        case .none: 0
        case .last: 1
        case .all: row.tokens.count
        }
      for position in row.tokens.count - count..<row.tokens.count {
        expected.append(Array(all[index][position * width..<(position + 1) * width]))
      }
    }
    #expect(runner.batch.rowCount == Self.lengths.reduce(0, +) && runner.batch.segmentCount == 8)
    #expect(runner.batch.logitRowCount == expected.count)
    runner.transformer.forward(runner.batch)
    for (index, logits) in expected.enumerated() {
      #expect(sameBits(Array(runner.transformer.logits(index)), logits), "row \(index)")
    }
  }

  /// An empty batch is no step.
  @Test func emptyBatch() throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"))
    let before = runner.logits([5, 6])
    runner.batch.removeAll()
    runner.transformer.forward(runner.batch)
    #expect(sameBits(Array(runner.transformer.logits(1)), Array(before.suffix(Self.vocabulary))))
  }
}
