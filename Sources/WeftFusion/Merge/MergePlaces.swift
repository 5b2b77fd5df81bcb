// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
package import WeftDeltas
internal import WeftTensors

/// Every place that some of the sources change, in the order of the model, with what each does there.
package struct MergePlaces: Sendable {
  package private(set) var places: [MergePlace] = []
  /// By place, then by task.
  private(set) var parts: [[Int: PlacePart]] = []
  private let base: BaseModel?
  private let names: [String]
  private var indices: [String: Int] = [:]
  /// The place that has a weight, of those that were read so far.
  private var owners: [WeightSite: String] = [:]

  package init(_ sources: [MergeSource], base: BaseModel? = nil) throws(MergeError) {
    self.base = base
    names = sources.map(\.name)
    for (task, source) in sources.enumerated() {
      switch source.content {
      case .factors(let factors): for module in factors.modules { try add(module, task) }
      case .deltas(let deltas): try add(deltas, task)
      }
    }
    sort()
  }

  /// The values of a problem whose modules are these places.
  package var values: MergeProblem.Values {
    let (places, parts, base, names) = (places, parts, base, names)
    return MergeProblem.Values(
      delta: { (task, module) throws(MergeError) in
        try parts[module][task]?.delta(places[module], base: base, task: names[task])
      },
      factors: { (task, module) throws(MergeError) in parts[module][task]?.factors },
      base: { (module) throws(MergeError) in places[module].weight(of: base) })
  }

  /// The largest rank of any factors; nil when there are none.
  var largestRank: Int? {
    parts.flatMap(\.values).compactMap { part in if case .lowRank(let a, _, _) = part { a.rows } else { nil } }.max()
  }

  private mutating func add(_ place: MergePlace, _ part: PlacePart, _ task: Int) throws(MergeError) {
    if let index = indices[place.path] {
      let known = places[index]
      guard known.kind == place.kind, known.shape == place.shape else {
        throw .mismatch(
          location: "\(names[task]), \(place.path)",
          expected: "\(known.description), as \(parts[index].keys.min().map { names[$0] } ?? "another") has",
          found: place.description)
      }
      parts[index][task] = part
      return
    }
    for site in place.sites {
      if let other = owners.updateValue(place.path, forKey: site) {
        throw .mismatch(
          location: names[task], expected: "\(other) under the name that the others have for it", found: place.path)
      }
    }
    indices[place.path] = places.count
    places.append(place)
    parts.append([task: part])
  }

  private mutating func add(_ module: AdapterFactors.Module, _ task: Int) throws(MergeError) {
    let sites = base?.shape.module(at: module.path)?.sites ?? []
    let rows = sites.map { base?.shape.shape(of: $0)?.out ?? 0 }
    switch module.part {
    case .linear(let a, let b, let scale):
      try add(
        MergePlace(
          path: module.path, kind: .linear, sites: sites, rowCounts: rows, shape: [b.rows, a.columns], layer: module.layer,
          isTransposed: module.isTransposed), .lowRank(a: a, b: b, scale: scale), task)
    case .embedding(let a, let b, let scale):
      let isPositions = base.map { $0.shape.isPositions(module.path) } ?? false
      try add(
        MergePlace(
          path: module.path, kind: isPositions ? .positions : .embedding, shape: [b.rows, a.columns], layer: nil,
          isTransposed: true), .lowRank(a: a, b: b, scale: scale), task)
    case .factors(let values, let isOfInput):
      try add(
        MergePlace(
          path: module.path, kind: .factors(isOfInput: isOfInput), sites: sites, rowCounts: rows, shape: [values.count],
          layer: module.layer),
        .vector(values), task)
    }
  }

  private mutating func add(_ deltas: DeltaSet, _ task: Int) throws(MergeError) {
    guard let base else {
      throw .notMixable(task: names[task], reason: "it is read as what it does, and no base is at hand")
    }
    if let part = deltas.unmergeablePart { throw .notMixable(task: names[task], reason: "it has \(part)") }
    var rest = Set(deltas.operators.keys)
    for module in base.shape.modules
    where module.isPublished && module.parameter == nil && module.sites.contains(where: rest.contains) {
      rest.subtract(module.sites)
      let size = base.size(of: module)
      try add(
        MergePlace(
          path: module.path, kind: .linear, sites: module.sites,
          rowCounts: module.sites.map { base.shape.shape(of: $0)?.out ?? 0 }, shape: [size.out, size.in],
          layer: module.sites.first?.layer, isTransposed: module.isTransposed),
        try PlacePart(module.sites.map { deltas.operators[$0] ?? [] }), task)
    }
    for site in rest.sorted() {
      guard let size = base.shape.shape(of: site) else {
        throw .notMixable(task: names[task], reason: "\(site) is no weight of the base")
      }
      try add(
        MergePlace(
          path: "\(site)", kind: .linear, sites: [site], rowCounts: [size.out], shape: [size.out, size.in], layer: site.layer,
          isNamed: false),
        try PlacePart([deltas.operators[site] ?? []]), task)
    }
    try addEmbedding(deltas.embedding, base.shape, task)
  }

  private mutating func addEmbedding(
    _ list: [EmbeddingDelta], _ shape: BaseShape, _ task: Int
  ) throws(MergeError) {
    for delta in list {
      let part: PlacePart
      var (place, kind) = (shape.embedding, MergePlace.Kind.embedding)
      switch delta {
      case .lowRank(let low): part = .lowRank(a: low.a, b: low.b, scale: low.scale)
      case .sum(let matrix): part = .transposed(matrix)
      case .positions(let matrix):
        guard let positions = shape.positions else { continue }
        (part, place, kind) = (.transposed(matrix), positions, .positions)
      case .rows, .replace, .scale, .rotate:
        throw .notMixable(task: names[task], reason: "it has \(delta.name) of the embedding")
      }
      if let index = indices[place.path], parts[index][task] != nil {
        throw .notMixable(task: names[task], reason: "it changes the embedding twice")
      }
      try add(
        MergePlace(
          path: place.path, kind: kind, shape: [place.hiddenSize, place.vocabularySize], layer: nil, isTransposed: true),
        part, task)
    }
  }

  /// Embeddings first, then the modules as the base has them, or as decoders do.
  private mutating func sort() {
    var order = Array(places.indices)
    if let base {
      var ranks: [String: Int] = [base.shape.embedding.path: -2]
      if let positions = base.shape.positions { ranks[positions.path] = -1 }
      for (rank, module) in base.shape.modules.enumerated() { ranks[module.name] = ranks[module.name] ?? rank }
      order.sort { (ranks[places[$0].path] ?? Int.max, $0) < (ranks[places[$1].path] ?? Int.max, $1) }
    } else {
      order.sort { ModuleOrder(places[$0].path) < ModuleOrder(places[$1].path) }
    }
    (places, parts) = (order.map { places[$0] }, order.map { parts[$0] })
  }
}

extension MergePlace {
  fileprivate var description: String {
    switch kind {
    case .linear: "a linear map \(shape)"
    case .embedding: "an embedding \(shape)"
    case .positions: "positions \(shape)"
    case .factors(let isOfInput): "\(shape[0]) factors of \(isOfInput ? "inputs" : "outputs")"
    }
  }

  /// theta_0 [out * in]; nil where its values are not known.
  fileprivate func weight(of base: BaseModel?) -> [Float]? {
    guard let base, let values = base.values else { return nil }
    switch kind {
    case .linear: return sites.isEmpty ? nil : sites.flatMap(values.weight)
    case .embedding: return LinearAlgebra.transposed(values.embedding(0..<shape[1]), rows: shape[1], columns: shape[0])
    case .positions: return LinearAlgebra.transposed(values.positions(), rows: shape[1], columns: shape[0])
    case .factors: return nil
    }
  }
}

extension PlacePart {
  /// The operators of the parts of a module: as one product where each has one and all have the same A, as a fused module has.
  fileprivate init(_ lists: [[DeltaOperator]]) throws(MergeError) {
    var terms: [LowRank] = []
    for list in lists {
      guard list.count == 1, case .lowRank(let low) = list[0] else {
        self = .operators(lists)
        return
      }
      terms.append(low)
    }
    guard terms.dropFirst().allSatisfy({ $0.sharesInput(with: terms[0]) }) else {
      self = .operators(lists)
      return
    }
    guard terms.count > 1 else {
      self = .lowRank(a: terms[0].a, b: terms[0].b, scale: terms[0].scale)
      return
    }
    let b = terms.flatMap { $0.b.floats() }
    do {
      self = .lowRank(
        a: terms[0].a, b: try Tensor(b, shape: [b.count / terms[0].b.columns, terms[0].b.columns]), scale: terms[0].scale)
    } catch { throw .storage(error) }
  }
}

extension DeltaSet {
  /// A part that is no change of a matrix, in words; nil when there is none.
  fileprivate var unmergeablePart: String? {
    if invocation != nil { return "a point from which on it acts (aLoRA)" }
    if let prompt { return "a \(prompt.name)" }
    if !gatedPrompts.isEmpty { return "a gated prompt" }
    if let hidden = hidden.values.joined().first { return "a \(hidden.name) of the hidden state" }
    if !norms.isEmpty || !normSums.isEmpty { return "a change of norms" }
    return classifier == nil ? nil : "gates"
  }
}
