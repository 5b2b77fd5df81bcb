// SPDX-License-Identifier: Apache-2.0

/// A linear module of the base as its reference implementation names it: what adapter files speak of.
package struct BaseModule: Hashable, Sendable {
  /// The path in transformers: `model.layers.3.self_attn.qkv_proj`.
  package let path: String
  /// The name of a stacked parameter [experts, out, in] of the module; nil for the weight of a linear module.
  package let parameter: String?
  /// The matrices whose rows lie under each other in the weight of this module: three for a fused `qkv_proj`. Of a stacked
  /// parameter, those of the first expert, then those of the second, and so on.
  package let sites: [WeightSite]
  /// False for another spelling of sites that a module of the published model has: `q_proj` where that has `qkv_proj`.
  package let isPublished: Bool
  /// Whether transformers stores its weight as [in, out] (GPT-2's Conv1D).
  package let isTransposed: Bool

  package init(
    path: String, parameter: String? = nil, sites: [WeightSite], isPublished: Bool = true, isTransposed: Bool = false
  ) {
    self.path = path
    self.parameter = parameter
    self.sites = sites
    self.isPublished = isPublished
    self.isTransposed = isTransposed
  }

  /// The path, with the stacked parameter: what patterns and `target_parameters` are compared with.
  package var name: String { parameter.map { "\(path).\($0)" } ?? path }
}

/// The embedding of tokens: [vocabulary, hidden].
package struct BaseEmbedding: Sendable, Equatable {
  /// The path in transformers: `model.embed_tokens`.
  package let path: String
  package let vocabularySize: Int
  package let hiddenSize: Int

  package init(path: String, vocabularySize: Int, hiddenSize: Int) {
    self.path = path
    self.vocabularySize = vocabularySize
    self.hiddenSize = hiddenSize
  }
}

/// A norm of the base as its reference implementation names it.
package struct BaseNorm: Sendable, Equatable {
  /// The path in transformers: `model.layers.3.input_layernorm`.
  package let path: String
  package let site: NormSite
  /// Numbers of its weight.
  package let size: Int
  /// What the model adds to the weight as files of adapters have it (Gemma: 1).
  package let offset: Float
  package let hasBias: Bool

  package init(path: String, site: NormSite, size: Int, offset: Float = 0, hasBias: Bool = false) {
    self.path = path
    self.site = site
    self.size = size
    self.offset = offset
    self.hasBias = hasBias
  }
}

/// The heads of attention: what prompts that stand in the cache have to fit.
package struct BaseAttention: Sendable, Equatable {
  package let headDimension: Int
  /// Query heads and key-value heads of each layer.
  package let heads: [Int]
  package let keyValueHeads: [Int]

  package init(headDimension: Int, heads: [Int], keyValueHeads: [Int]) {
    self.headDimension = headDimension
    self.heads = heads
    self.keyValueHeads = keyValueHeads
  }
}

/// What decides which deltas fit a base: its weight matrices with their sizes, and the modules that adapter files name.
package struct BaseShape: Sendable {
  /// Rows and columns of a weight: [out, in].
  package typealias Size = (out: Int, in: Int)

  package let layerCount: Int
  package let embedding: BaseEmbedding
  /// Learned positions, where the model has them: [positions, hidden]; its `vocabularySize` is how many there are.
  package let positions: BaseEmbedding?
  package let norms: [BaseNorm]
  package let attention: BaseAttention
  /// True when the head is the embedding (tied): still two places for deltas.
  package let isTied: Bool
  /// The layer of the file that each layer is: others than 0, 1, 2 ... where the base was opened with repeated layers.
  package let layerSources: [Int]
  /// Every module, in the order of the model.
  package let modules: [BaseModule]
  /// The names of GGUF; nil where only those of transformers are known.
  package let gguf: GGUFNames?
  private let sizes: [WeightSite: Size]
  private let byPath: [String: BaseModule]
  /// `model.` or `transformer.`, and what else adapter files have in its place.
  private let roots: [String]

  /// - Parameter roots: what paths may begin with, each with its dot; first that of the paths in `modules`.
  package init(
    layerCount: Int, sizes: [WeightSite: Size], modules: [BaseModule], roots: [String], embedding: BaseEmbedding,
    norms: [BaseNorm], attention: BaseAttention, isTied: Bool, layerSources: [Int]? = nil,
    gguf: GGUFNames? = nil, positions: BaseEmbedding? = nil
  ) {
    self.layerCount = layerCount
    self.embedding = embedding
    self.positions = positions
    self.norms = norms
    self.attention = attention
    self.isTied = isTied
    self.gguf = gguf
    self.layerSources = layerSources ?? Array(0..<layerCount)
    self.sizes = sizes
    self.modules = modules.filter { $0.sites.allSatisfy { sizes[$0] != nil } }
    self.roots = roots
    byPath = Dictionary(
      self.modules.filter { $0.parameter == nil }.map { ($0.path, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Every weight that a delta may attach to, in order.
  package var sites: [WeightSite] { sizes.keys.sorted() }

  /// The size of the weight at `site`; nil when the base has no such weight.
  package func shape(of site: WeightSite) -> Size? { sizes[site] }

  /// The module at a path, with or without the root; nil when the base has none.
  package func module(at path: String) -> BaseModule? {
    spellings(of: path).lazy.compactMap { byPath[$0] }.first
  }

  /// The norm at a path, with or without the root; nil when the base has none.
  package func norm(at path: String) -> BaseNorm? {
    let spellings = spellings(of: path)
    return norms.first { spellings.contains($0.path) }
  }

  /// Whether a path, with or without the root, is that of the embedding.
  package func isEmbedding(_ path: String) -> Bool { spellings(of: path).contains(embedding.path) }

  /// Whether a path, with or without the root, is that of learned positions.
  package func isPositions(_ path: String) -> Bool { positions.map { spellings(of: path).contains($0.path) } ?? false }

  /// A path as it is, and with each root replaced by that of this base.
  private func spellings(of path: String) -> [String] {
    guard let own = roots.first else { return [path] }
    return [path] + roots.filter { path.hasPrefix($0) }.map { own + path.dropFirst($0.count) }
  }

  /// The stacked parameters of the module at a path, in their order.
  package func parameters(at path: String) -> [BaseModule] {
    let spellings = spellings(of: path)
    return modules.filter { $0.parameter != nil && spellings.contains($0.path) }
  }

  /// Whether a path, with or without the root, is that of a decoder layer, whatever its number.
  package func isLayer(_ path: String) -> Bool {
    guard let number = path.lastIndex(of: "."), let module = modules.first?.path else { return false }
    // Modules are in the order of the model: the first is in layer 0.
    guard let zero = module.firstRange(of: ".0.") else { return false }
    return spellings(of: String(path[...number])).contains(String(module[...zero.lowerBound]))
  }

  /// True when the path would name a module if its layer number were in range.
  package func isBeyondLayers(_ path: String) -> Bool {
    var parts = path.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard let index = parts.firstIndex(where: { !$0.isEmpty && $0.utf8.allSatisfy { (48...57).contains($0) } }),
      parts[index] == "0" || !parts[index].hasPrefix("0"), Int(parts[index]).map({ $0 >= layerCount }) ?? true
    else { return false }
    // Layers may differ (some have experts, some not): any layer with this module will do.
    return (0..<layerCount).contains { layer in
      parts[index] = "\(layer)"
      return module(at: parts.joined(separator: ".")) != nil
    }
  }

  /// The path of the published module that holds `site`.
  package func path(of site: WeightSite) -> String? {
    modules.first { $0.isPublished && $0.sites.contains(site) }?.path
  }
}
