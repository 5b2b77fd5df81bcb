// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// An adapter with its weight in a mixture.
public struct WeightedAdapter: Sendable, Hashable, CustomStringConvertible, ExpressibleByStringLiteral {
  /// A weight of its own for some places.
  public struct Place: Sendable, Hashable {
    /// The module as transformers calls it, `q_proj` or `lm_head`; nil for all modules of the layers.
    public var module: String?
    /// The layers, from 0; empty for all of them.
    public var layers: [ClosedRange<Int>]
    /// The weight in these places.
    public var weight: Float

    /// A value with these properties.
    public init(module: String? = nil, layers: [ClosedRange<Int>] = [], weight: Float) {
      self.module = module
      self.layers = layers
      self.weight = weight
    }
  }

  /// The name that requests use.
  public var name: String
  /// Its factor, wherever `places` has no other.
  public var weight: Float
  /// The layers in which it is active, from 0; empty for all of them, and for what is outside of layers.
  public var layers: [ClosedRange<Int>]
  /// Weights of their own. One that names a module counts before one that names only layers, and one that names both before both.
  public var places: [Place]

  /// A value with these properties.
  public init(_ name: String, weight: Float = 1, layers: [ClosedRange<Int>] = [], places: [Place] = []) {
    self.name = name
    self.weight = weight
    self.layers = layers
    self.places = places
  }

  /// An adapter with weight 1.
  public init(stringLiteral name: String) { self.init(name) }

  /// As in the text of a mixture: `chef@0-7:0.7[q_proj=0.2]`.
  public var description: String {
    (try? part(level: 0)).map { "\($0)" } ?? name
  }
}

/// Adapters that are active together: a value that can be written as text, read back, compared and hashed.
///
///     [.init("chef", weight: 0.7), .init("poet", weight: 0.3)]
///     try AdapterMixture(parsing: "chef:0.7,poet:0.3")
///     try AdapterMixture(parsing: "lang@0-7,task@8-23")               // each in its own layers
///     try AdapterMixture(parsing: "chef:0.7[q_proj=0.2,@20-23=0]")    // weights for modules and layers
///     try AdapterMixture(parsing: "lang>task")                        // task upon lang, where order matters
///     try AdapterMixture(parsing: "fast:0.5,calm:0.5/average")        // scales averaged, not multiplied
///
/// Nothing is checked before it is activated.
public struct AdapterMixture: Sendable, Hashable, CustomStringConvertible, ExpressibleByArrayLiteral {
  /// How scales (IA3, the magnitudes of DoRA) of several adapters at one place become one.
  public enum ScaleRule: String, Sendable, Hashable, CaseIterable {
    /// The product of 1 + weight (scale - 1).
    case multiply
    /// 1 + the sum of weight (scale - 1).
    case average
  }

  /// Adapters side by side in levels under each other; those of the first level act first.
  public var levels: [[WeightedAdapter]]
  /// How scales of several adapters at one place become one.
  public var scales: ScaleRule

  /// Adapters side by side; none for the base alone.
  public init(_ adapters: [WeightedAdapter], scales: ScaleRule = .multiply) {
    self.init(levels: adapters.isEmpty ? [] : [adapters], scales: scales)
  }

  /// Adapters side by side in levels under each other.
  public init(levels: [[WeightedAdapter]], scales: ScaleRule = .multiply) {
    self.levels = levels
    self.scales = scales
  }

  /// Adapters side by side.
  public init(arrayLiteral elements: WeightedAdapter...) { self.init(elements) }

  /// Reads `chef:0.7,poet:0.3` and the other forms above; a name without a weight has weight 1, `base` is no adapter at all.
  public init(parsing text: String) throws(EngineError) {
    do { self.init(try Mixture(parsing: text)) } catch { throw EngineError(error) }
  }

  /// All adapters, level by level.
  public var adapters: [WeightedAdapter] { levels.flatMap { $0 } }

  /// The text that `init(parsing:)` reads.
  public var description: String {
    (try? canonical()).map { "\($0)" } ?? levels.map { $0.map(\.description).joined(separator: ",") }.joined(separator: ">")
  }
}

extension AdapterMixture {
  init(_ mixture: Mixture) {
    var levels: [[WeightedAdapter]] = []
    for part in mixture.parts {
      if part.level == levels.count { levels.append([]) }
      levels[levels.count - 1].append(WeightedAdapter(part))
    }
    self.init(levels: levels, scales: mixture.scales == .multiply ? .multiply : .average)
  }

  /// The checked, sorted form.
  func canonical() throws(EngineError) -> Mixture {
    var parts: [Mixture.Part] = []
    for (level, adapters) in levels.enumerated() {
      for adapter in adapters { parts.append(try adapter.part(level: level)) }
    }
    do { return try Mixture(parts, scales: scales == .multiply ? .multiply : .average) } catch { throw EngineError(error) }
  }
}

extension WeightedAdapter {
  init(_ part: Mixture.Part) {
    self.init(
      part.adapter, weight: part.weight, layers: part.layers?.ranges ?? [],
      places: part.modules.map {
        Place(module: $0.module?.name, layers: $0.layers?.ranges ?? [], weight: $0.weight)
      })
  }

  func part(level: Int) throws(EngineError) -> Mixture.Part {
    var modules: [Mixture.ModuleWeight] = []
    for place in places {
      let module = place.module.map { Mixture.Module(name: $0) }
      if let module, module == nil {
        throw EngineError(MixtureError(.invalidModule(adapter: name, found: place.module ?? "")))
      }
      modules.append(
        Mixture.ModuleWeight(module: module ?? nil, layers: try range(place.layers), weight: place.weight))
    }
    return Mixture.Part(adapter: name, weight: weight, layers: try range(layers), modules: modules, level: level)
  }

  private func range(_ ranges: [ClosedRange<Int>]) throws(EngineError) -> Mixture.Layers? {
    guard !ranges.isEmpty else { return nil }
    guard let layers = Mixture.Layers(ranges) else {
      throw EngineError(MixtureError(.invalidLayers(adapter: name, found: "\(ranges)")))
    }
    return layers
  }
}
