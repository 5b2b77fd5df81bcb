// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftTensors
internal import WeftTransformer

/// What the adapters of a mixture ask of every step.
struct PlannedWork {
  /// Bytes that are read, whatever the rows.
  var bytes = 0
  /// Multiply-adds for a row.
  var products = 0
  /// Products of matrices.
  var calls = 0

  /// Adds an adapter as it is in memory.
  mutating func add(_ adapter: LoadedAdapter, base: BaseShape, groups: [[WeightSite]]) {
    bytes += adapter.resident.byteCount
    let outlines = adapter.resident.outlines
    for group in groups {
      let parts = group.compactMap { site in outlines[site].map { (site: site, rank: $0.rank) } }
      for part in parts {
        let size = base.shape(of: part.site) ?? (0, 0)
        products += part.rank * (size.in + size.out)
      }
      if !parts.isEmpty { calls += 1 + parts.count }
    }
    // What is not low rank does about one operation for every number that it has.
    let others = adapter.adapter.deltas.operators.values.joined().filter { $0.rank == nil }
    products += others.reduce(0) { $0 + $1.byteCount / 4 }
  }
}

/// The tokens that a plan is made for.
struct PlannedLoad {
  let promptTokens: Int
  let expectedTokens: Int
  let sequences: Int
  let rowsPerStep: Int

  /// Seconds of the adapters' share of all steps.
  func estimate(
    _ way: ExecutionPlan.Way, _ work: PlannedWork, _ rates: MachineRates, preparation: Double = 0, byteCount: Int = 0
  ) -> ExecutionPlan.Estimate {
    let prompts = Double(promptTokens) * Double(sequences)
    let steps = max(1, (prompts / Double(rowsPerStep)).rounded(.up))
    let prefill = prompts == 0 ? 0 : steps * seconds(work, rows: prompts / steps, rates)
    let decode = Double(expectedTokens) * seconds(work, rows: Double(sequences), rates)
    return ExecutionPlan.Estimate(
      way: way, preparation: preparation, prefill: prefill, decode: decode, byteCount: byteCount, refusal: nil)
  }

  /// Of a step: bytes or arithmetic, whichever takes longer, and what every product costs.
  private func seconds(_ work: PlannedWork, rows: Double, _ rates: MachineRates) -> Double {
    max(
      MachineRates.scatter * Double(work.bytes) / rates.bytesPerSecond, rows * Double(work.products) / rates.productsPerSecond)
      + Double(work.calls) * MachineRates.secondsPerProduct
  }
}

extension ExecutionPlan.Estimate {
  static func refused(_ way: ExecutionPlan.Way, _ reason: String) -> ExecutionPlan.Estimate {
    ExecutionPlan.Estimate(way: way, preparation: 0, prefill: 0, decode: 0, byteCount: 0, refusal: reason)
  }
}
