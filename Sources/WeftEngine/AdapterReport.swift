// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors
internal import WeftTransformer

/// What an adapter is on a base: whether it fits, what it does, and what it can be mixed with. Nothing is run.
public struct AdapterReport: Sendable {
  /// The norms of what it changes in one layer, or outside of layers (`layer` nil).
  public struct LayerNorms: Sendable {
    /// Counted from 0.
    public let layer: Int?
    /// By module, in the order of the model: the Frobenius norm of the change of its weight.
    public let modules: [(name: String, norm: Double)]
  }

  /// The family, as in `LoRA`.
  public let family: String
  /// What its file says it was trained on.
  public let baseModel: String?
  /// What it resolves to: `low-rank`, `scale`.
  public let operators: [String]
  /// What a mixture may do with each operator.
  public let mixing: [(operator: String, rule: String)]
  /// The smallest and the largest rank; nil when nothing has a rank.
  public let ranks: ClosedRange<Int>?
  /// The linear maps that it changes, each once, with how many layers.
  public let targets: [(name: String, layerCount: Int)]
  /// Bytes of its tensors as they are read.
  public let storedBytes: Int
  /// Bytes of what is resident for the kernels.
  public let residentBytes: Int
  /// Why it cannot be fused into the base's weights; nil when it can.
  public let unfusable: String?
  /// Of changes that are a matrix of their own.
  public let norms: [LayerNorms]

  /// Reads the adapter at `path` for the model at `model`. Throws what loading it would.
  /// - Parameter name: of the one that is meant, where `path` holds several.
  public init(
    adapter path: String, model: String, options: AdapterLoadOptions = .init(), layers: [Int]? = nil,
    name: String = "adapter"
  ) throws(EngineError) {
    let choices = try options.options(for: path)
    let base: BaseModel
    let groups: [[WeightSite]]
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint(path: model) } catch { throw EngineError(error) }
    do {
      base = try ModelWeights.base(of: checkpoint, layers: layers)
      groups = try WeightSizes(checkpoint, layers: layers).inputGroups
    } catch { throw EngineError(error) }
    let adapter: Adapter
    do { adapter = try AdapterReader.read(folder: path, name: name, base: base, options: choices) } catch {
      throw EngineError(error)
    }
    let pool: ThreadPool
    do { pool = try ThreadPool(threads: 1) } catch { throw EngineError(.outOfMemory, "\(error)") }
    do { residentBytes = try ResidentAdapter(adapter.deltas, groups: groups, pool: pool).byteCount } catch {
      throw EngineError(error)
    }
    let deltas = adapter.deltas
    family = adapter.family
    baseModel = adapter.baseModel
    operators = deltas.operatorNames
    let rules = deltas.mixingRules
    mixing = deltas.operatorNames.compactMap { name in rules[name].map { (name, $0.sentence) } }
    ranks = deltas.ranks
    targets = AdapterReport.targets(deltas.sites)
    storedBytes = adapter.byteCount
    unfusable = deltas.unfusablePart
    norms = AdapterReport.norms(deltas)
  }

  private static func targets(_ sites: [WeightSite]) -> [(name: String, layerCount: Int)] {
    var layers: [String: Set<Int>] = [:]
    var order: [String] = []
    for site in sites {
      if layers[name(site)] == nil { order.append(name(site)) }
      layers[name(site), default: []].insert(site.layer ?? 0)
    }
    return order.map { ($0, layers[$0]?.count ?? 0) }
  }

  private static func norms(_ deltas: DeltaSet) -> [LayerNorms] {
    var layers: [(layer: Int?, modules: [(name: String, norm: Double)])] = []
    for site in deltas.sites {
      let squares = (deltas.operators[site] ?? []).compactMap { $0.norm() }.map { $0 * $0 }
      guard !squares.isEmpty else { continue }
      if layers.last?.layer != site.layer || layers.isEmpty { layers.append((site.layer, [])) }
      // Experts of a layer count together.
      let norm = squares.reduce(0, +).squareRoot()
      let last = layers.count - 1
      if let index = layers[last].modules.firstIndex(where: { $0.name == name(site) }) {
        let own = layers[last].modules[index].norm
        layers[last].modules[index].norm = (own * own + norm * norm).squareRoot()
      } else {
        layers[last].modules.append((name(site), norm))
      }
    }
    return layers.map { LayerNorms(layer: $0.layer, modules: $0.modules) }
  }

  private static func name(_ site: WeightSite) -> String {
    switch site {
    case .layer(_, let projection): projection.name
    case .expert(_, _, let projection): "experts.\(projection.name)"
    case .outputHead: "lm_head"
    }
  }
}

/// A kind of adapter that Weft reads: a row of the registry.
public struct AdapterFamilySummary: Sendable {
  /// The name in listings: `LoRA`.
  public let name: String
  /// By what its files are known.
  public let files: String
  /// What it resolves to; empty when it is refused with a reason.
  public let operators: [String]
  /// What a weight in a mixture means: `sum`, `scale` or `exclusive`.
  public let mixing: String
  /// Whether it can be fused into the base's weights.
  public let isFusable: Bool
  /// The address of the paper or specification.
  public let source: String
  /// Options that a caller may have to give.
  public let options: [String]

  /// Every family, in the order of the registry.
  public static var all: [AdapterFamilySummary] {
    AdapterFamily.all.map { family in
      AdapterFamilySummary(
        name: family.name, files: family.mark.text, operators: family.operators, mixing: family.mixing.rawValue,
        isFusable: family.isFusable, source: family.source, options: family.options.map(\.rawValue))
    }
  }
}
