// SPDX-License-Identifier: Apache-2.0

import WeftAdapters
import WeftDeltas
import WeftEngine
import WeftTensors

/// `weft bench --adapters`: what resident adapters take in memory, and what active ones cost, by the type and rank of their factors.
/// The adapters are made of random numbers.
struct AdapterBench {
  let model: String
  let threads: Int?
  let kvType: EngineOptions.KVType
  /// Tokens that each measurement generates.
  let decode: Int
  let repetitions: Int
  /// How many adapters to hold in memory at once, of ternary rank 8 on q and v; 0 for none.
  let resident: Int
  let json: Bool

  static let types: [DType] = [.f16, .q8_0, .ternary]
  static let ranks = [8, 16, 64]
  static let counts = [1, 4, 16]
  static let all: Set<Projection> = [.query, .key, .value, .output, .gate, .up, .down]

  /// One type and rank.
  struct Row {
    let type: DType
    let rank: Int
    let bytes: Int
    /// The share of time that a token takes longer, for each of `counts`.
    let costs: [Double]
  }

  func run() throws {
    let engine = try Engine(
      model: model,
      options: EngineOptions(
        threads: threads, contextLength: decode + 32, maximumSequences: 1, kvType: kvType, maximumActiveRank: 16 * 3 * 64))
    if !json {
      let threads = Readable.count(engine.model.threads, "thread")
      print("\(model): \(threads), \(engine.model.isa); factors of all seven projections; time of a decoded token beside that")
      print("without adapters, medians of \(Readable.count(repetitions, "pair")) in turn")
      print("  type     rank   bytes of one    1 active    4 active   16 active")
    }
    var rows: [Row] = []
    for type in Self.types {
      for rank in Self.ranks {
        rows.append(try measure(engine, type, rank))
        if !json { print(text(of: rows[rows.count - 1])) }
      }
    }
    let held = resident > 0 ? try hold(engine) : nil
    if json { print(json(of: rows, held)) }
  }

  private func measure(_ engine: Engine, _ type: DType, _ rank: Int) throws -> Row {
    let loader = engine.adapterLoader
    let names = (0..<(Self.counts.max() ?? 0)).map { "bench-\($0)" }
    var bytes = 0
    // The same numbers, but memory of its own for each.
    let made = try loader.synthetic("bench", rank: rank, type: type, projections: Self.all, seed: 1)
    for name in names {
      let prepared = try loader.prepare(
        Adapter(name: name, deltas: made.deltas, baseModel: nil, family: made.family, provenance: made.provenance))
      bytes = prepared.byteCount
      try engine.install(prepared)
    }
    defer { for name in names { try? engine.unloadAdapter(name) } }
    let costs = try Self.counts.map { count in
      let mixture = AdapterMixture(names.prefix(count).map { WeightedAdapter($0, weight: 1) })
      return try cost(engine, mixture)
    }
    return Row(type: type, rank: rank, bytes: bytes, costs: costs)
  }

  /// The median, over pairs in turn, of how much longer a token takes.
  private func cost(_ engine: Engine, _ mixture: AdapterMixture) throws -> Double {
    var ratios: [Double] = []
    for repetition in 0...repetitions {
      // Which one is first changes from pair to pair.
      let isFirst = repetition % 2 == 0
      let first = try speed(engine, isFirst ? mixture : AdapterMixture([]))
      let second = try speed(engine, isFirst ? AdapterMixture([]) : mixture)
      if repetition > 0 { ratios.append(isFirst ? second / first - 1 : first / second - 1) }
    }
    return ratios.sorted()[ratios.count / 2]
  }

  private func speed(_ engine: Engine, _ mixture: AdapterMixture) throws -> Double {
    let tokens = (0..<16).map { Int32(($0 * 7919 + 13) % engine.model.vocabularySize) }
    return try engine.generate(
      GenerationRequest(
        .tokens(tokens), activation: .mixture(mixture), sampling: .greedy, maximumTokens: decode + 1, ignoresEndTokens: true)
    ).tokensPerSecond
  }

  /// Bytes by which the process grows when it holds many adapters, all of them.
  private func hold(_ engine: Engine) throws -> (bytes: Int, planned: Int, seconds: Double) {
    let loader = engine.adapterLoader
    let before = MemoryPlan.residentBytes ?? 0
    let begin = ContinuousClock.now
    var planned = 0
    for index in 0..<resident {
      let adapter = try loader.synthetic(
        "resident-\(index)", rank: 8, type: .ternary, projections: [.query, .value], seed: UInt64(index))
      let prepared = try loader.prepare(adapter)
      planned += prepared.byteCount
      try engine.install(prepared)
    }
    let (seconds, attoseconds) = begin.duration(to: .now).components
    let bytes = (MemoryPlan.residentBytes ?? 0) - before
    let time = Double(seconds) + Double(attoseconds) * 1e-18
    if !json {
      print(
        "\(resident) adapters of ternary rank 8 on q and v: \(Readable.bytes(bytes)) more in the process, "
          + "\(Readable.bytes(bytes / resident)) each, of which \(Readable.bytes(planned / resident)) planned; made and loaded in "
          + "\(Readable.decimal(time, digits: 1)) s")
    }
    return (bytes, planned, time)
  }

  private func text(of row: Row) -> String {
    let costs = row.costs.map {
      Readable.padded((($0 < 0) ? "" : "+") + Readable.decimal($0 * 100, digits: 1) + " %", 12, right: true)
    }
    return "  \(Readable.padded(row.type.name.lowercased(), 7))  \(Readable.padded("\(row.rank)", 4, right: true))  "
      + Readable.padded(Readable.bytes(row.bytes), 13, right: true) + costs.joined()
  }

  private func json(of rows: [Row], _ held: (bytes: Int, planned: Int, seconds: Double)?) -> String {
    let list = rows.map { row in
      "{\"type\": \"\(row.type.name.lowercased())\", \"rank\": \(row.rank), \"bytes\": \(row.bytes), \"costs\": {"
        + zip(Self.counts, row.costs).map { "\"\($0)\": \($1)" }.joined(separator: ", ") + "}}"
    }
    let tail = held.map {
      ", \"resident\": {\"count\": \(resident), \"bytes\": \($0.bytes), \"planned_bytes\": \($0.planned), \"seconds\": \($0.seconds)}"
    }
    return "{\"adapters\": [\(list.joined(separator: ", "))]\(tail ?? "")}"
  }
}
