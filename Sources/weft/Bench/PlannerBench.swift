// SPDX-License-Identifier: Apache-2.0

import WeftAdapters
import WeftDeltas
import WeftEngine
import WeftTensors

/// `weft bench --planner`: adapters of random numbers on all projections, run in every way. Preparation, a prompt and steps are
/// measured; the time of an answer of some length is made of them, and the plan's way is held against the best one.
struct PlannerBench {
  let model: String
  let threads: Int?
  let kvType: EngineOptions.KVType
  let json: Bool

  /// Adapters and their rank.
  private static let cases = [(1, 8), (1, 64), (4, 4), (4, 16), (16, 8)]
  private static let answers = [16, 256, 4096, 65536]
  private static let promptTokens = 128
  private static let steps = 24
  private static let rounds = 8

  private struct Measured {
    var preparation = 0.0
    var prefill = 0.0
    var step = 0.0

    func seconds(_ tokens: Int) -> Double { preparation + prefill + Double(tokens) * step }
  }

  func run() throws {
    let engine = try Engine(
      model: model,
      options: EngineOptions(
        threads: threads, contextLength: 256, maximumSequences: 1, kvType: kvType, maximumActiveRank: 4096,
        reusesPrefixes: false))
    let alone = try (0...Self.rounds).map { _ in try answer(engine, []) }.dropFirst()
    // What else the machine does can only add to it.
    let base = Measured(prefill: alone.map(\.prefill).min() ?? 0, step: alone.map(\.step).min() ?? 0)
    var (worst, rows): (Double, [String]) = (1, [])
    if !json {
      print(
        "\(model): \(Readable.count(engine.model.threads, "thread")), seconds of a prompt of \(Self.promptTokens) and an answer"
      )
    }
    for (count, rank) in Self.cases {
      let names = (0..<count).map { "a\($0)" }
      for (index, name) in names.enumerated() {
        let adapter = try RandomAdapter.make(name, shape: engine.baseShape, rank: rank, seed: index)
        try engine.install(engine.adapterLoader.prepare(adapter))
      }
      // Weights of their own, as mixtures have them.
      let mixture = AdapterMixture(names.enumerated().map { WeightedAdapter($1, weight: 1 / Float($0 + 2)) })
      // Rates are measured when the first plan is made, which is not part of a plan.
      let first = try engine.plan(for: mixture, expectedTokens: 1)
      // Before anything is made: a composite that is there costs nothing.
      let plans = try Self.answers.map { try engine.plan(for: mixture, expectedTokens: $0, promptTokens: Self.promptTokens) }
      var measured: [ExecutionPlan.Way: Measured] = [:]
      for way in ExecutionPlan.Way.allCases where first.estimate(way)?.refusal == nil {
        measured[way] = try measure(engine, mixture, way, beside: base)
      }
      if !json { explain(first, measured, base: base.step, "\(count) x rank \(rank)") }
      for (answer, plan) in zip(Self.answers, plans) {
        let times = measured.mapValues { $0.seconds(answer) }
        guard let best = times.values.min(), let taken = times[plan.way] else { continue }
        worst = max(worst, taken / best)
        let columns = ExecutionPlan.Way.allCases.map { way in times[way].map { Readable.decimal($0, digits: 2) } ?? "-" }
        rows.append(
          "{\"adapters\": \(count), \"rank\": \(rank), \"tokens\": \(answer), \"way\": \"\(plan.way.rawValue)\", \"over_best\": \(taken / best)}"
        )
        if !json {
          print(
            "  " + Readable.padded("\(count) x rank \(rank), \(answer) tokens", 28)
              + columns.map { Readable.padded($0, 10, right: true) }.joined() + "  " + Readable.padded(plan.way.rawValue, 10)
              + Readable.percent(taken / best - 1) + " over the best")
        }
      }
      for summary in engine.adapters { try engine.unloadAdapter(summary.name) }
    }
    print(
      json
        ? "{\"worst\": \(worst), \"cases\": [\(rows.joined(separator: ", "))]}"
        : "  worst: \(Readable.percent(worst - 1)) over the best")
  }

  /// What was measured of each way beside what was estimated.
  private func explain(
    _ plan: ExecutionPlan, _ measured: [ExecutionPlan.Way: Measured], base: Double, _ name: String
  ) {
    for way in ExecutionPlan.Way.allCases {
      guard let found = measured[way], let expected = plan.estimate(way) else { continue }
      func text(_ seconds: Double) -> String { Readable.padded(Readable.decimal(seconds * 1000, digits: 2), 9, right: true) }
      print(
        "  " + Readable.padded("\(name), \(way.rawValue)", 28) + "ms to prepare" + text(found.preparation) + ", estimated"
          + text(expected.preparation) + "; a token beside the base" + text(found.step - base) + ", estimated"
          + text(expected.decode))
    }
  }

  /// Prepares a way, and measures it in turn with the base (a fused one between two measurements of the base), so that what else the
  /// machine does changes both: times are those of `base`, multiplied by the ratio of the medians.
  private func measure(
    _ engine: Engine, _ mixture: AdapterMixture, _ way: ExecutionPlan.Way, beside base: Measured
  ) throws -> Measured {
    var (own, others): ([Measured], [Measured]) = ([], [])
    func measureBase(_ count: Int) throws { for _ in 0..<count { others.append(try answer(engine, [])) } }
    if way == .fuse { try measureBase(Self.rounds / 2) }
    let begin = ContinuousClock.now
    let active = try engine.apply(engine.plan(for: mixture, expectedTokens: 1, ways: [way]))
    var preparation = (ContinuousClock.now - begin) / .seconds(1)
    _ = try answer(engine, active)
    for _ in 0..<Self.rounds {
      own.append(try answer(engine, active))
      if way != .fuse { try measureBase(1) }
    }
    if way == .fuse {
      let end = ContinuousClock.now
      try engine.unfuse()
      preparation += (ContinuousClock.now - end) / .seconds(1)
      try measureBase(Self.rounds / 2)
    }
    return Measured(
      preparation: preparation, prefill: base.prefill * own.map(\.prefill).median / others.map(\.prefill).median,
      step: base.step * own.map(\.step).median / others.map(\.step).median)
  }

  /// The time of a prompt, and of a step behind it.
  private func answer(_ engine: Engine, _ mixture: AdapterMixture) throws -> Measured {
    let tokens = (0..<Self.promptTokens).map { Int32(($0 * 7919 + 13) % engine.model.vocabularySize) }
    let result = try engine.generate(
      GenerationRequest(
        .tokens(tokens), activation: mixture.adapters.isEmpty ? .base : .mixture(mixture), sampling: .greedy,
        maximumTokens: Self.steps + 1, ignoresEndTokens: true))
    return Measured(prefill: result.prefillSeconds, step: result.decodeSeconds / Double(Self.steps))
  }
}

/// Adapters for measuring: what they say does not matter.
enum RandomAdapter {
  /// F16 factors on all projections of all layers.
  static func make(_ name: String, shape: BaseShape, rank: Int, seed: Int) throws -> Adapter {
    var deltas = DeltaSet()
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
    func tensor(_ rows: Int, _ columns: Int) throws -> Tensor {
      let values = (0..<rows * columns).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Float(Int64(bitPattern: state) >> 40) * 0x1p-30
      }
      return try Tensor(rounding: values, shape: [rows, columns], to: .f16)
    }
    for site in shape.sites {
      guard case .layer = site, let size = shape.shape(of: site) else { continue }
      deltas.operators[site] = [
        .lowRank(try LowRank(a: tensor(rank, size.in), b: tensor(size.out, rank), scale: 1))
      ]
    }
    return Adapter(
      name: name, deltas: deltas, baseModel: nil, family: "LoRA", provenance: .init(folder: "random", peftVersion: nil))
  }
}
