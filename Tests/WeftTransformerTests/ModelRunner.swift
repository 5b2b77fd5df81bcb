// SPDX-License-Identifier: Apache-2.0

import TestSupport
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// A model opened for a test: runs token lists through steps of a given size and collects logits.
///
/// bf16 weights read F32 activations here, unless a test asks for rounded ones: goldens are those of exact arithmetic.
final class ModelRunner {
  let pool: ThreadPool
  let weights: ModelWeights
  let transformer: Transformer
  let batch: Batch
  private let blocks: [[Int32]]

  init(
    _ path: String, layers: [Int]? = nil, threads: Int = 1, isa: ISA? = nil, kv: KVDType = .f32, sequences: Int = 8,
    length: Int = 128,
    context: Int? = nil, roundsActivations: Bool = false
  ) throws {
    pool = try ThreadPool(threads: threads)
    weights = try ModelWeights(Checkpoint(path: path), layers: layers, roundsActivations: roundsActivations, pool: pool)
    let kernels = try isa.map(Kernels.init(isa:)) ?? Kernels.best()
    let perSequence = (length + 15) / 16
    let cache = try KVCache(config: weights.config, blockCount: perSequence * sequences, dtype: kv)
    transformer = try Transformer(
      weights: weights, cache: cache, kernels: kernels, pool: pool, maximumRows: 256, maximumLogitRows: 256,
      maximumDeltaWidth: 256, contextLength: context)
    batch = Batch(maximumRows: 256, maximumSegments: sequences)
    // Blocks of a sequence lie scattered, so that the block table matters.
    blocks = (0..<sequences).map { sequence in (0..<perSequence).map { Int32($0 * sequences + sequence) } }
  }

  /// The path of a golden model: `gqa-tied` is the folder, `gqa-tied/model.gguf` the file in it.
  static func golden(_ name: String) -> String { TestPaths.goldens + "/logits/" + name }

  /// A sequence in a batch.
  struct Row {
    var tokens: [Int32]
    var mixture: ActiveMixture?
  }

  /// Appends some tokens of a sequence to the batch; the first token stands at position `shift`.
  func append(
    _ tokens: ArraySlice<Int32>, to sequence: Int, mixture: ActiveMixture?, logits: Batch.Logits, shift: Int = 0,
    gates: ExternalGates? = nil
  ) {
    Array(tokens).withUnsafeBufferPointer { pointer in
      blocks[sequence].withUnsafeBufferPointer { table in
        batch.append(
          tokens: pointer, firstPosition: shift + tokens.startIndex, blockTable: table.baseAddress!, mixture: mixture,
          logits: logits, gates: gates)
      }
    }
  }

  /// Writes what stands before the first token of a sequence with this mixture. Returns the rows of its prompt, as tokens, and the
  /// position of the first of them and the real ones.
  func begin(_ sequence: Int, _ mixture: ActiveMixture?) -> (prompt: [Int32], shift: Int) {
    guard let mixture else { return ([], 0) }
    switch mixture.prompt {
    case .none: return ([], 0)
    case .rows(let count): return ((0..<count).map(Batch.promptToken), 0)
    case .keysAndValues(let count):
      blocks[sequence].withUnsafeBufferPointer { table in
        transformer.writePrefix(of: mixture, blockTable: table.baseAddress!)
      }
      return ([], count)
    }
  }

  /// Logits [T, V] of every position of every sequence, at most `chunk` tokens of each in a step; with those of a prompt's rows, if
  /// they are asked for.
  func logits(_ rows: [Row], chunk: Int? = nil, ofPrompts: Bool = false) -> [[Float]] {
    var results = [[Float]](repeating: [], count: rows.count)
    let begins = rows.enumerated().map { begin($0.offset, $0.element.mixture) }
    let all = zip(rows, begins).map { $1.prompt + $0.tokens }
    var done = 0
    while all.contains(where: { $0.count > done }) {
      batch.removeAll()
      var order: [(sequence: Int, count: Int)] = []
      for (index, tokens) in all.enumerated() where tokens.count > done {
        let end = min(tokens.count, chunk.map { done + $0 } ?? tokens.count)
        append(tokens[done..<end], to: index, mixture: rows[index].mixture, logits: .all, shift: begins[index].shift)
        order.append((index, end - done))
      }
      transformer.forward(batch)
      var logitRow = 0
      for (sequence, count) in order {
        for _ in 0..<count {
          results[sequence] += transformer.logits(logitRow)
          logitRow += 1
        }
      }
      done = chunk.map { done + $0 } ?? .max
    }
    guard !ofPrompts else { return results }
    let width = weights.config.vocabularySize
    return zip(results, begins).map { Array($0.dropFirst($1.prompt.count * width)) }
  }

  /// Logits [T, V] of one sequence.
  func logits(_ tokens: [Int32], mixture: ActiveMixture? = nil, chunk: Int? = nil) -> [Float] {
    logits([Row(tokens: tokens, mixture: mixture)], chunk: chunk)[0]
  }

  /// The residual stream [T, hiddenSize] of one sequence after some layers.
  func hidden(_ tokens: [Int32], layers: Int) -> [Float] {
    batch.removeAll()
    batch.layerLimit = layers
    append(tokens[...], to: 0, mixture: nil, logits: .none)
    transformer.forward(batch)
    return tokens.indices.flatMap { Array(transformer.hidden($0)) }
  }

  /// The greedy continuation of one sequence to `count` tokens, one token a step.
  func greedy(from tokens: [Int32], count: Int) -> [Int32] {
    var result = tokens
    var done = 0
    while result.count < count {
      batch.removeAll()
      append(result[done...], to: 0, mixture: nil, logits: .last)
      transformer.forward(batch)
      done = result.count
      result.append(Int32(argmax(transformer.logits(0))))
    }
    return result
  }

  /// An adapter of the goldens, read for this model.
  func adapter(_ name: String) throws -> Adapter {
    try AdapterReader.read(folder: TestPaths.goldens + "/adapters/" + name, name: name, base: weights.base)
  }

  /// A mixture of adapters of the goldens, from its text.
  func mixture(_ text: String) throws -> ActiveMixture {
    let mixture = try Mixture(parsing: text)
    return ActiveMixture(
      try mixture.parts.map { part in
        let resident = try ResidentAdapter(adapter(part.adapter).deltas, groups: weights.inputGroups, pool: pool)
        try transformer.reserve(for: resident)
        return (resident, part)
      }, scales: mixture.scales)
  }
}

extension Mixture.Part {
  /// One adapter with this weight everywhere.
  static func test(_ weight: Float) -> Mixture.Part { Mixture.Part(adapter: "test", weight: weight) }
}

/// The index of the largest value, the first of equals.
func argmax(_ values: some RandomAccessCollection<Float>) -> Int {
  values.enumerated().reduce((0, -Float.infinity)) { $1.element > $0.1 ? ($1.offset, $1.element) : $0 }.0
}

/// Bit for bit, so that -0 differs from 0.
func sameBits(_ one: [Float], _ other: [Float]) -> Bool {
  one.count == other.count && zip(one, other).allSatisfy { $0.bitPattern == $1.bitPattern }
}

/// Tokens of a vocabulary, the same in every run.
func randomTokens(_ count: Int, vocabulary: Int, seed: UInt64) -> [Int32] {
  var generator = SeededGenerator(seed: seed)
  return (0..<count).map { _ in Int32.random(in: 0..<Int32(vocabulary), using: &generator) }
}

/// The tiers that this machine can run.
let availableTiers = ISA.allCases.filter(\.isAvailable)
