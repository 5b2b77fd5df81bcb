// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
package import WeftDeltas
internal import WeftTensors

/// A merge of adapters of one base into one, as it is asked for.
///
///     let merge = AdapterMerge(method: try .named("ties"), parameters: MergeParameters(["density": 0.5]))
///     let merged = try merge([try MergeSource(reading: "adapters/a", name: "a", weight: 1), ...])
///     try merged.write(folder: "adapters/merged")
package struct AdapterMerge: Sendable {
  package var method: MergeMethod
  package var parameters: MergeParameters
  /// Of the result; nil: in space delta the largest rank of the adapters, as peft's; otherwise what the method makes.
  package var rank: Int?
  package var seed: UInt64
  /// For `given_masks`.
  package var masks: MergeMasks?

  package init(
    method: MergeMethod, parameters: MergeParameters = MergeParameters(), rank: Int? = nil, seed: UInt64 = 0,
    masks: MergeMasks? = nil
  ) {
    self.method = method
    self.parameters = parameters
    self.rank = rank
    self.seed = seed
    self.masks = masks
  }

  /// Merges, holding one module's changes in memory at a time.
  /// - Parameters:
  ///   - base: needed for adapters in memory and for families whose change depends on it; otherwise it checks names and
  ///     shapes and gives the order of the modules.
  ///   - progress: told how many modules of how many are done; false stops the merge.
  package func callAsFunction(
    _ sources: [MergeSource], base: BaseModel? = nil, progress: (_ done: Int, _ count: Int) -> Bool = { _, _ in true }
  ) throws(MergeError) -> MergedAdapter {
    try checkBases(sources)
    if let rank, rank < 1 {
      throw .mismatch(location: "rank", expected: "at least 1", found: "\(rank)")
    }
    let places = try MergePlaces(sources, base: base)
    let isOfVectors = places.places.contains { $0.shape.count == 1 }
    if isOfVectors, method.space != .factors || method.name != "linear" {
      throw .notMixable(
        task: sources[0].name, reason: "factors of inputs and outputs (IA3) are merged by linear in space factors alone")
    }
    var problem = MergeProblem(
      tasks: sources.map { .init(name: $0.name, weight: $0.weight, parameters: $0.parameters) },
      modules: places.places.map(\.module), values: places.values, parameters: parameters, seed: seed,
      layerCount: base?.shape.layerCount, masks: masks, rank: rank)
    problem.statistics = sources.compactMap(\.statistics)
    if !problem.statistics.isEmpty, let source = sources.first(where: { $0.statistics == nil }) {
      throw .mismatch(location: source.name, expected: "statistics, as the others have them", found: "none")
    }
    let limit = rank ?? (method.space == .delta ? places.largestRank : nil)
    var merged: [MergedAdapter.Module] = []
    var isStopped = false
    var (whole, kept) = (0.0, 0.0)
    try method.merge(problem) { (index, change) throws(MergeError) in
      guard !isStopped else { throw .interrupted }
      let place = places.places[index]
      let (part, reduction) = try part(change, place, limit: limit)
      merged.append(.init(place: place, part: part))
      whole += reduction?.whole ?? 0
      kept += reduction?.kept ?? 0
      isStopped = !progress(merged.count, places.places.count)
    }
    if isStopped, merged.count < places.places.count { throw .interrupted }
    return MergedAdapter(
      modules: merged, options: options(sources), record: MergeRecord(self, sources),
      keptShare: whole > 0 ? kept / whole : nil)
  }

  private func part(_ change: MergedChange, _ place: MergePlace, limit: Int?) throws(MergeError) -> (
    MergedAdapter.Part, RankReduction.Result?
  ) {
    switch change {
    case .factors(let factors):
      let expected = (place.shape[0] * factors.rank, factors.rank * place.shape[1])
      guard factors.b.count == expected.0, factors.a.count == expected.1, factors.rank > 0 else {
        throw .mismatch(
          location: place.path, expected: "factors of \(place.shape) from method \(method.name)",
          found: "\(factors.b.count) and \(factors.a.count) numbers of rank \(factors.rank)")
      }
      try requireFinite(factors.a, place)
      try requireFinite(factors.b, place)
      let limit = limit ?? factors.rank
      let reduced = try RankReduction.reduced(factors, out: place.shape[0], in: place.shape[1], rank: limit)
      return (.factors(reduced.factors), reduced)
    case .dense(let values):
      guard values.count == place.shape.reduce(1, *) else {
        throw .mismatch(
          location: place.path, expected: "\(place.shape) from method \(method.name)", found: "\(values.count) numbers")
      }
      try requireFinite(values, place)
      guard place.shape.count == 2 else { return (.vector(values), nil) }
      guard let limit else {
        throw .mismatch(location: "rank", expected: "the rank of the result, as no adapter has one", found: "none")
      }
      let reduced = try RankReduction.reduced(values, out: place.shape[0], in: place.shape[1], rank: limit)
      return (.factors(reduced.factors), reduced)
    }
  }

  private func requireFinite(_ values: [Float], _ place: MergePlace) throws(MergeError) {
    guard let index = values.firstIndex(where: { !$0.isFinite }) else { return }
    throw .mismatch(
      location: place.path, expected: "finite numbers of method \(method.name) with these weights",
      found: "\(values[index])")
  }

  /// Adapters of different bases do not add up to anything. Paths differ between machines, the last name does not.
  private func checkBases(_ sources: [MergeSource]) throws(MergeError) {
    func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init)?.lowercased() ?? path }
    guard let first = sources.first(where: { $0.baseModel != nil }), let base = first.baseModel else { return }
    for source in sources {
      guard let other = source.baseModel, name(other) != name(base) else { continue }
      throw .mismatch(location: source.name, expected: "the base of \(first.name), \(base)", found: other)
    }
  }

  private func options(_ sources: [MergeSource]) -> AdapterFactors.Options {
    var options = AdapterFactors.Options()
    var targets: [String] = []
    var areListed = true
    for source in sources {
      options.baseModel = options.baseModel ?? source.baseModel
      guard case .factors(let factors) = source.content else {
        areListed = false
        continue
      }
      options.taskType = options.taskType ?? factors.options.taskType
      options.isTransposed = options.isTransposed || factors.options.isTransposed
      for target in factors.options.targets ?? [] where !targets.contains(target) { targets.append(target) }
      areListed = areListed && factors.options.targets != nil
    }
    options.targets = areListed ? targets : nil
    return options
  }
}
