// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

extension ModelConfig {
  /// The linear maps of a layer that read the same activations: q, k, v; gate, up; or one alone. Their A factors are one
  /// matrix, computed once. A group's index in this list is its place in `ResidentAdapter.groupTable`; the head comes last.
  var inputGroups: [[WeightSite]] {
    layers.indices.flatMap { inputGroups(layer: $0) } + [[.outputHead]]
  }

  /// The groups of one layer: attention, output; router, and the experts in order; feed-forward, down.
  func inputGroups(layer: Int) -> [[WeightSite]] {
    func sites(_ projections: Projection...) -> [WeightSite] { projections.map { .layer(layer, $0) } }
    var groups = [sites(.query, .key, .value), sites(.output)]
    guard layers[layer].isSparse, let experts else {
      return groups + [isGated ? sites(.gate, .up) : sites(.up), sites(.down)]
    }
    groups.append(experts.sharedIntermediateSize > 0 ? sites(.router, .sharedExpertGate) : sites(.router))
    for expert in 0..<experts.count {
      groups.append([.expert(layer, expert, .gate), .expert(layer, expert, .up)])
      groups.append([.expert(layer, expert, .down)])
    }
    if experts.sharedIntermediateSize > 0 { groups += [sites(.sharedGate, .sharedUp), sites(.sharedDown)] }
    return groups
  }

  /// The size of every linear map in the layers.
  var linearSizes: [WeightSite: BaseShape.Size] {
    var sizes: [WeightSite: BaseShape.Size] = [:]
    for (index, layer) in layers.enumerated() {
      let (query, keyValue) = (layer.headCount * headDimension, layer.keyValueHeadCount * headDimension)
      for site in inputGroups(layer: index).joined() {
        sizes[site] =
          switch site {
          case .layer(_, .query): (query, hiddenSize)
          case .layer(_, .key), .layer(_, .value): (keyValue, hiddenSize)
          case .layer(_, .output): (hiddenSize, query)
          case .layer(_, .gate), .layer(_, .up), .layer(_, .sharedGate), .layer(_, .sharedUp):
            (layer.intermediateSize, hiddenSize)
          case .layer(_, .down), .layer(_, .sharedDown): (hiddenSize, layer.intermediateSize)
          case .layer(_, .router): (experts?.count ?? 0, hiddenSize)
          case .layer(_, .sharedExpertGate): (1, hiddenSize)
          case .expert(_, _, .down): (hiddenSize, experts?.intermediateSize ?? 0)
          case .expert: (experts?.intermediateSize ?? 0, hiddenSize)
          case .outputHead: (vocabularySize, hiddenSize)
          }
      }
    }
    return sizes
  }

  /// What a delta may attach to, with the modules as `names` calls them.
  func shape(isTied: Bool, names: TensorNames, interleavesHeads: Bool, layerSources: [Int]) -> BaseShape {
    var sizes = linearSizes
    sizes[.outputHead] = (vocabularySize, hiddenSize)
    let gguf = TensorNames.gguf
    return BaseShape(
      layerCount: layerCount, sizes: sizes, modules: modules(names, sizes), roots: [names.root] + names.otherRoots,
      embedding: BaseEmbedding(
        path: names.root + names.embedding, vocabularySize: vocabularySize, hiddenSize: hiddenSize),
      norms: baseNorms(names),
      attention: BaseAttention(
        headDimension: headDimension, heads: layers.map(\.headCount), keyValueHeads: layers.map(\.keyValueHeadCount)),
      isTied: isTied, layerSources: layerSources,
      gguf: GGUFNames(
        modules: modules(gguf, sizes), embedding: gguf.embedding,
        norms: Dictionary(uniqueKeysWithValues: baseNorms(gguf).map { ($0.site, $0.path) }),
        interleavesHeads: interleavesHeads),
      positions: positionRows == 0
        ? nil
        : BaseEmbedding(
          path: names.root + names.positionEmbedding, vocabularySize: positionRows, hiddenSize: hiddenSize))
  }

  /// The linear modules as `names` calls them, in the order of the model; the head comes last.
  private func modules(_ names: TensorNames, _ sizes: [WeightSite: BaseShape.Size]) -> [BaseModule] {
    var modules: [BaseModule] = []
    for layer in layers.indices {
      var published: Set<WeightSite> = []
      for linear in names.linears where linear.experts == .stacked {
        guard let experts, let dot = linear.name.lastIndex(of: "."), layers[layer].isSparse else { continue }
        modules.append(
          BaseModule(
            path: names.layer(layer, String(linear.name[..<dot])), parameter: String(linear.name[dot...].dropFirst()),
            sites: (0..<experts.count).flatMap { expert in linear.projections.map { .expert(layer, expert, $0) } },
            isTransposed: linear.isTransposed))
      }
      for linear in names.linears where linear.experts != .stacked {
        for expert in linear.experts == .each ? 0..<(experts?.count ?? 0) : 0..<1 {
          let sites: [WeightSite] = linear.projections.map {
            linear.experts == .none ? .layer(layer, $0) : .expert(layer, expert, $0)
          }
          guard sites.allSatisfy({ sizes[$0] != nil }) else { continue }
          modules.append(
            BaseModule(
              path: names.layer(layer, linear.name.replacing("*", with: "\(expert)")), sites: sites,
              isPublished: published.isDisjoint(with: sites), isTransposed: linear.isTransposed))
          published.formUnion(sites)
        }
      }
    }
    modules.append(BaseModule(path: names.outputHead, sites: [.outputHead]))
    return modules
  }

  /// How many numbers a norm of a layer has; nil when the model has no such norm.
  func normSize(_ layer: Int, _ role: NormRole) -> Int? {
    switch role {
    case .attentionInput, .feedForwardInput: return hasInputNorms ? hiddenSize : nil
    case .attentionOutput, .feedForwardOutput: return hasOutputNorms ? hiddenSize : nil
    case .query, .key:
      let heads = role == .query ? layers[layer].headCount : layers[layer].keyValueHeadCount
      switch queryKeyNorm {
      case .none: return nil
      case .head: return headDimension
      case .row: return heads * headDimension
      }
    }
  }

  private func baseNorms(_ names: TensorNames) -> [BaseNorm] {
    var norms: [BaseNorm] = []
    func append(_ path: String, _ site: NormSite, _ size: Int) {
      norms.append(BaseNorm(path: path, site: site, size: size, offset: normOffset, hasBias: norm == .layer))
    }
    for layer in layers.indices {
      for role in NormRole.allCases {
        if let size = normSize(layer, role), let name = names.norms[role] {
          append(names.layer(layer, name), .layer(layer, role), size)
        }
      }
    }
    append(names.root + names.outputNorm, .output, hiddenSize)
    return norms
  }
}
