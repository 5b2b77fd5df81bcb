// SPDX-License-Identifier: Apache-2.0

extension Mixture {
  /// One active adapter.
  package struct Part: Hashable, Sendable {
    package let adapter: String
    /// The weight wherever `modules` has no other.
    package let weight: Float
    /// The layers in which it is active; nil for all of them and what is outside of layers.
    package let layers: Layers?
    /// Weights of their own, sorted. Where several apply, one that names a module counts before one that names only layers,
    /// and one that names layers too before one that does not.
    package let modules: [ModuleWeight]
    /// Parts of a lower level act first; parts of one level act side by side.
    package internal(set) var level: Int
    /// Whether `weight` is the weight everywhere.
    package let isUniform: Bool

    package init(
      adapter: String, weight: Float, layers: Layers? = nil, modules: [ModuleWeight] = [], level: Int = 0
    ) {
      self.adapter = adapter
      // One zero, so that equal values have equal texts.
      self.weight = weight == 0 ? 0 : weight
      self.layers = layers
      self.modules = modules.sorted { $0.position < $1.position }
      self.level = level
      isUniform = layers == nil && modules.isEmpty
    }

    /// The weight of what this adapter does to the weight matrix at `site`; 0 outside its layers.
    package func weight(at site: WeightSite) -> Float {
      if isUniform { return weight }
      switch site {
      case .layer(let layer, let projection), .expert(let layer, _, let projection):
        return weight(of: .projection(projection), layer: layer)
      case .outputHead: return weight(of: .outputHead, layer: nil)
      }
    }

    /// The weight of what this adapter does elsewhere: to the hidden state or a norm of a layer, or, with nil, outside of layers.
    package func weight(inLayer layer: Int?) -> Float { isUniform ? weight : weight(of: nil, layer: layer) }

    /// The weight of what this adapter does to the embedding.
    package var embeddingWeight: Float { isUniform ? weight : weight(of: .embedding, layer: nil) }

    /// Writes the weights at many places: what `weight(at:)` and `weight(inLayer:)` give one by one.
    package func fill(_ weights: UnsafeMutablePointer<Float>, at places: UnsafeBufferPointer<Place>) {
      for (index, place) in places.enumerated() {
        (weights + index).initialize(to: layers.map(place.isInside) ?? true ? weight : 0)
      }
      // What counts most is written last; of what counts the same, the first.
      for rank in 1...3 {
        for entry in modules.reversed() where entry.rank == rank {
          let isFree = layers == nil || entry.module?.isInLayers == false
          let module = entry.module.map { Int16($0.number) }
          for (index, place) in places.enumerated() where module.map({ $0 == place.module }) ?? true {
            guard entry.layers.map(place.isInside) ?? true, isFree || layers.map(place.isInside) ?? true else { continue }
            weights[index] = entry.weight
          }
        }
      }
    }

    private func weight(of module: Module?, layer: Int?) -> Float {
      let isInside = layers.map { layers in layer.map(layers.contains) ?? false } ?? true
      var (found, best) = (isInside ? weight : 0, 0)
      for entry in modules where entry.rank > best && entry.applies(to: module, layer: layer) {
        // Modules outside of layers have the weight that they are given by name.
        guard isInside || entry.module?.isInLayers == false else { continue }
        (found, best) = (entry.weight, entry.rank)
      }
      return found
    }

    /// Throws when the name, a weight or a place cannot be meant.
    func validate() throws(MixtureError) {
      guard Mixture.isName(adapter) else { throw MixtureError(.invalidName(adapter)) }
      guard weight.isFinite else { throw MixtureError(.invalidWeight(adapter: adapter, found: "\(weight)")) }
      for (index, entry) in modules.enumerated() {
        guard entry.weight.isFinite else {
          throw MixtureError(.invalidWeight(adapter: "\(adapter)[\(entry.place)]", found: "\(entry.weight)"))
        }
        guard entry.module != nil || entry.layers != nil, entry.module?.isInLayers != false || entry.layers == nil else {
          throw MixtureError(.invalidModule(adapter: adapter, found: entry.place))
        }
        if let layers, let own = entry.layers, !layers.contains(own) {
          throw MixtureError(.outsideLayers(adapter: adapter, found: entry.place, layers: layers))
        }
        for other in modules[..<index] where entry.overlaps(other) {
          throw MixtureError(.overlap(adapter: adapter, other.place, entry.place))
        }
      }
    }
  }

  /// A place that has a weight, as numbers, which are quick to compare.
  package struct Place: Sendable {
    /// `Module.number`; -1 for what belongs to none.
    fileprivate let module: Int16
    /// -1 outside of layers.
    fileprivate let layer: Int32

    /// That of a weight matrix.
    package init(_ site: WeightSite) {
      switch site {
      case .layer(let layer, let projection), .expert(let layer, _, let projection):
        (module, self.layer) = (Int16(Module.projection(projection).number), Int32(layer))
      case .outputHead: (module, layer) = (Int16(Module.outputHead.number), -1)
      }
    }

    /// That of the hidden state or a norm of a layer; of none, what is outside of layers.
    package init(layer: Int?) {
      module = -1
      self.layer = Int32(layer ?? -1)
    }

    fileprivate func isInside(_ layers: Layers) -> Bool { layer >= 0 && layers.contains(Int(layer)) }
  }

  /// What a weight of its own may be given to.
  package enum Module: Hashable, Sendable {
    case projection(Projection)
    case outputHead
    case embedding

    /// After transformers' modules: `q_proj`, `lm_head`, `embed_tokens`.
    package var name: String {
      switch self {
      case .projection(let projection): projection.name
      case .outputHead: "lm_head"
      case .embedding: "embed_tokens"
      }
    }

    package static let all = Projection.allCases.map { Module.projection($0) } + [.outputHead, .embedding]

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    package init?(name: String) {
      guard let module = Module.byName[name] else { return nil }
      self = module
    }

    var isInLayers: Bool {
      switch self {
      case .projection: true
      case .outputHead, .embedding: false
      }
    }

    fileprivate var number: Int {
      switch self {
      case .projection(let projection): projection.rawValue
      case .outputHead: Projection.allCases.count
      case .embedding: Projection.allCases.count + 1
      }
    }
  }

  /// The weight of an adapter in some places: of one module, in some layers, or of one module in some layers.
  package struct ModuleWeight: Hashable, Sendable {
    /// nil for all modules of the layers.
    package let module: Module?
    /// nil for all layers.
    package let layers: Layers?
    package let weight: Float

    package init(module: Module?, layers: Layers? = nil, weight: Float) {
      self.module = module
      self.layers = layers
      self.weight = weight == 0 ? 0 : weight
    }

    /// `q_proj`, `@0-3` or `q_proj@0-3`.
    package var place: String { (module?.name ?? "") + (layers.map { "@\($0)" } ?? "") }

    /// 1 to 3: how much it says about where it applies.
    fileprivate var rank: Int { (module == nil ? 0 : 2) + (layers == nil ? 0 : 1) }

    fileprivate func applies(to module: Module?, layer: Int?) -> Bool {
      if let own = self.module, own != module { return false }
      guard let layers else { return true }
      return layer.map(layers.contains) ?? false
    }

    fileprivate func overlaps(_ other: ModuleWeight) -> Bool {
      guard module == other.module, rank == other.rank else { return false }
      guard let layers, let others = other.layers else { return true }
      return layers.overlaps(others)
    }

    fileprivate var position: (Int, Int, Int) { (module.map(\.number) ?? -1, layers == nil ? 0 : 1, layers?.first ?? 0) }
  }
}
