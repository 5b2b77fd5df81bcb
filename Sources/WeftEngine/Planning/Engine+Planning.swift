// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
package import WeftDeltas
internal import WeftTensors
internal import WeftTransformer

extension Engine {
  /// Estimates what a mixture would take in each way, and chooses the one that takes least.
  ///
  /// A step reads the factors of every active adapter once, whatever its rows; that is what decode costs. Prompts cost
  /// arithmetic. A composite has the ranks of its adapters together, without the tiles of 16 rows that each of them fills
  /// alone, and is one product where they are several; cut to a rank, it is that much smaller. Fusing costs arithmetic over
  /// all weights once, and the base again afterwards.
  /// - Parameters:
  ///   - expectedTokens: tokens that each sequence will generate.
  ///   - promptTokens: tokens of each prompt.
  ///   - sequences: sequences at the same time.
  ///   - ways: the ways to choose from.
  ///   - rank: the rank to cut a composite to, which is no longer exact then; nil for its full one.
  public func plan(
    for mixture: AdapterMixture, expectedTokens: Int, promptTokens: Int = 0, sequences: Int = 1,
    ways: Set<ExecutionPlan.Way> = Set(ExecutionPlan.Way.allCases), rank: Int? = nil
  ) throws(EngineError) -> ExecutionPlan {
    let sizes = [
      ("expected tokens", expectedTokens, 0), ("prompt tokens", promptTokens, 0), ("sequences", sequences, 1),
      ("rank", rank ?? 1, 1),
    ]
    for (name, value, least) in sizes where value < least || value > 1 << 40 {
      throw EngineError(.invalidArgument, "\(name): expected \(least) or more, found \(value)")
    }
    let activated = try activated(mixture)
    let rates: MachineRates
    if let known = machineRates {
      rates = known
    } else {
      do { rates = try MachineRates(kernels: transformer.kernels, pool: pool) } catch { throw EngineError(error) }
      machineRates = rates
    }
    let load = PlannedLoad(
      promptTokens: promptTokens, expectedTokens: expectedTokens, sequences: sequences, rowsPerStep: options.maximumStepRows)
    var estimates: [ExecutionPlan.Estimate] = []
    for way in ExecutionPlan.Way.allCases where ways.contains(way) {
      switch way {
      case .side: estimates.append(sideEstimate(activated, load, rates))
      case .composite: estimates.append(compositeEstimate(activated, rank: rank, load, rates))
      case .fuse: estimates.append(fuseEstimate(activated, load, rates))
      }
    }
    let possible = estimates.filter { $0.refusal == nil }
    guard let best = possible.min(by: { $0.seconds < $1.seconds }) else {
      let reasons = estimates.compactMap { estimate in estimate.refusal.map { "\(estimate.way.rawValue): \($0)" } }
      throw EngineError(
        .unsupported,
        "plan of \(mixture): expected a way that is possible, found none (\(reasons.joined(separator: "; ")))")
    }
    return ExecutionPlan(
      mixture: mixture, expectedTokens: expectedTokens, promptTokens: promptTokens, sequences: sequences, rank: rank,
      estimates: estimates, way: best.way)
  }

  /// Prepares what a plan chose. The result is the mixture to make requests with: the plan's own, a composite, or, where it is
  /// fused, the base. `unfuse` and `unloadAdapter` undo it.
  public func apply(_ plan: ExecutionPlan) throws(EngineError) -> AdapterMixture {
    switch plan.way {
    case .side: return plan.mixture
    case .composite: return [WeightedAdapter(try composite(of: plan.mixture, rank: plan.rank))]
    case .fuse:
      if fused.mixture != .base, try fused.mixture == plan.mixture.canonical() { return [] }
      try fuse(plan.mixture)
      return []
    }
  }

  // MARK: - Estimates

  private func sideEstimate(
    _ activated: ActivatedMixture, _ load: PlannedLoad, _ rates: MachineRates
  ) -> ExecutionPlan.Estimate {
    var work = PlannedWork()
    for adapter in activated.adapters { work.add(adapter, base: weights.shape, groups: weights.inputGroups) }
    return load.estimate(.side, work, rates)
  }

  private func compositeEstimate(
    _ activated: ActivatedMixture, rank: Int?, _ load: PlannedLoad, _ rates: MachineRates
  ) -> ExecutionPlan.Estimate {
    let shape: CompositeShape
    do { shape = try CompositeShape(activated, base: weights.shape, groups: weights.inputGroups, rank: rank) } catch {
      return .refused(.composite, error.reason)
    }
    let isThere = adapterPool[compositeName(activated, rank: rank)] != nil
    let bytes = isThere ? 0 : shape.packedBytes
    if let budget = options.adapterBudget, bytes > budget {
      return .refused(
        .composite, "\(MemoryPlan.text(bytes)) are more than \(MemoryPlan.text(budget)), the budget for adapters")
    }
    if let maximum = options.maximumMemory, memoryPlan.byteCount + bytes > maximum {
      return .refused(.composite, "\(MemoryPlan.text(bytes)) more memory are not allowed")
    }
    // Numbers are unpacked, joined, scaled and packed, into memory that is new.
    var preparation =
      isThere ? 0 : MachineRates.joiningPasses * Double(shape.elementCount) / (rates.packedPerSecond / Double(options.threads))
    // QR of both factors and their product again, in Float64.
    if !isThere, shape.isCut {
      preparation += 6 * shape.decompositionProducts / (rates.fusedProductsPerSecond / Double(options.threads))
    }
    return load.estimate(.composite, shape.work, rates, preparation: preparation, byteCount: bytes)
  }

  private func fuseEstimate(
    _ activated: ActivatedMixture, _ load: PlannedLoad, _ rates: MachineRates
  ) -> ExecutionPlan.Estimate {
    guard sequenceCount == 0 else { return .refused(.fuse, "\(sequenceCount) sequences are in flight") }
    let isThere = fused.mixture != .base && fused.mixture == activated.mixture
    guard fused.mixture == .base || isThere else { return .refused(.fuse, "\(fused.mixture) is fused already") }
    for adapter in activated.adapters {
      if let part = adapter.adapter.deltas.unfusablePart { return .refused(.fuse, "\(adapter.name) has \(part)") }
    }
    let outlines = activated.adapters.map(\.resident.outlines)
    let others = activated.adapters.flatMap { $0.adapter.deltas.operators.keys }
    var (elements, products) = (0, 0)
    for site in Set(outlines.flatMap { $0.keys } + others) {
      guard let size = weights.shape.shape(of: site) else { continue }
      if let dtype = weights.dtype(of: site), dtype.isQuantized {
        return .refused(.fuse, "the base is quantised (\(dtype.name)), and its weights would be rounded again")
      }
      elements += size.out * size.in
      products += size.out * size.in * outlines.reduce(0) { $0 + ($1[site]?.rank ?? 0) }
    }
    let packing = MachineRates.fusingPasses * Double(elements) / rates.packedPerSecond
    let preparation =
      isThere ? 0 : MachineRates.fusingShare * Double(products) / rates.fusedProductsPerSecond + packing
    return load.estimate(.fuse, PlannedWork(), rates, preparation: preparation)
  }
}

extension Engine {
  /// What adapters may attach to.
  package var baseShape: BaseShape { weights.shape }
}
