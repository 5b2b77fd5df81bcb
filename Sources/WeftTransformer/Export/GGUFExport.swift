// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
package import WeftFormats
package import WeftTensors

/// A model of a Hugging Face folder as a GGUF file has it: names, order of rows, fused and stacked matrices, metadata. Programs
/// that read GGUF (llama.cpp) compute the same with it.
///
/// What GGUF has no field for is found by reading the metadata back as Weft reads a file: a configuration that does not come out
/// the same is refused by name.
package struct GGUFExport {
  /// A tensor: matrices under each other.
  package struct Part {
    package let name: String
    /// PyTorch's order; [experts, out, in] for stacked experts.
    package let shape: [Int]
    package let tensors: [Tensor]
    /// What the tensors are in the model; empty for vectors, whose numbers are in `tensors`.
    package let uses: [TensorUse.Part]
    /// For every row the row of the source that it comes from; nil for the identity.
    package let rowMap: [Int32]?
    /// True for what GGUF stores as F32 whatever the matrices are: vectors, the scores of experts, learned positions.
    package let isPrecise: Bool
  }

  package let config: ModelConfig
  /// `general.architecture`.
  package let architecture: String
  /// The keys of the architecture, without those of file and tokenizer.
  package let metadata: [GGUFWriter.Pair]
  package private(set) var parts: [Part] = []
  /// What the user should know about the file, in sentences.
  package let notes: [String]

  private let interleavesHeads: Bool

  /// Vectors that a mixture changes.
  private let changed: [TensorUse.Part: [Float]]

  /// Reads a folder: its configuration and all tensors, which are checked as for running.
  package init(_ checkpoint: Checkpoint) throws(ModelError) {
    try self.init(checkpoint, WeightSources(checkpoint, readsValues: true), changed: [:], separatesHead: false)
  }

  /// A folder with a mixture worked into it: vectors as they become, matrices as they were, which `fused` has as they become.
  package init(_ fused: FusedCheckpoint) throws(ModelError) {
    try self.init(fused.checkpoint, fused.sources, changed: fused.vectors, separatesHead: fused.separatesHead)
  }

  private init(
    _ checkpoint: Checkpoint, _ sources: WeightSources, changed: [TensorUse.Part: [Float]], separatesHead: Bool
  ) throws(ModelError) {
    self.changed = changed
    let architecture = try Architecture.of(checkpoint).0
    // Mistral has no name of its own: it is a llama.
    let name = architecture.ggufNames.first ?? "llama"
    let fields = try GGUFConfigFields(sources.config, architecture: name, location: checkpoint.path)
    config = sources.config
    self.architecture = name
    metadata = fields.metadata
    let others = sources.otherPartTensors
    notes =
      fields.notes + (others > 0 ? ["\(others) tensors of parts other than text (images) are left out"] : [])
    interleavesHeads = architecture.interleavesHeads
    try appendTensors(sources)
    if separatesHead {
      append(TensorNames.gguf.outputHead + ".weight", [sources.embedding.tensor], [.matrix(.outputHead)])
    }
    for (name, values) in fields.vectors { try append(name, values) }
  }

  /// Architectures whose files have one matrix for queries, keys and values, and for gate and up.
  static let fusesAttention: Set<String> = ["gpt2", "phi3", "openelm"]
  static let fusesFeedForward: Set<String> = ["phi3"]

  private mutating func appendTensors(_ sources: WeightSources) throws(ModelError) {
    let names = TensorNames.gguf
    append(names.embedding + ".weight", [sources.embedding.tensor], [.embedding])
    if let positions = sources.positions {
      append(names.positionEmbedding + ".weight", [positions.tensor], [.positions], isPrecise: true)
    }
    for layer in 0..<config.layerCount {
      for role in NormRole.allCases {
        guard let norm = sources.norms[layer].source(role), let name = names.norms[role] else { continue }
        try append(norm, .layer(layer, role), names.layer(layer, name))
      }
      let fuses = GGUFExport.fusesAttention.contains(architecture)
      try append(
        sources, layer,
        fuses
          ? [("attn_qkv", [.query, .key, .value])]
          : [
            ("attn_q", [.query]), ("attn_k", [.key]), ("attn_v", [.value]),
          ])
      try append(sources, layer, [("attn_output", [.output])])
      if config.layers[layer].isSparse {
        try appendExperts(sources, layer)
      } else if GGUFExport.fusesFeedForward.contains(architecture) {
        try append(sources, layer, [("ffn_up", [.gate, .up]), ("ffn_down", [.down])])
      } else {
        try append(sources, layer, [("ffn_gate", [.gate]), ("ffn_up", [.up]), ("ffn_down", [.down])])
      }
    }
    try append(sources.outputNorm, .output, names.outputNorm)
    if let head = sources.head { append(names.outputHead + ".weight", [head.tensor], [.matrix(.outputHead)]) }
  }

  private mutating func appendExperts(_ sources: WeightSources, _ layer: Int) throws(ModelError) {
    try append(sources, layer, [("ffn_gate_inp", [.router])], isPrecise: true)
    if let row = sources.matrices[.layer(layer, .sharedExpertGate)]?.tensor {
      // One row: a vector.
      parts.append(
        Part(
          name: "blk.\(layer).ffn_gate_inp_shexp.weight", shape: [row.columns], tensors: [row],
          uses: [.matrix(.layer(layer, .sharedExpertGate))], rowMap: nil, isPrecise: true))
    }
    try append(
      sources, layer, [("ffn_gate_shexp", [.sharedGate]), ("ffn_up_shexp", [.sharedUp]), ("ffn_down_shexp", [.sharedDown])])
    for (name, projection) in [("ffn_gate_exps", Projection.gate), ("ffn_up_exps", .up), ("ffn_down_exps", .down)] {
      let sites = (0..<(config.experts?.count ?? 0)).map { WeightSite.expert(layer, $0, projection) }
      let experts = sites.compactMap { sources.matrices[$0]?.tensor }
      guard let first = experts.first else { continue }
      parts.append(
        Part(
          name: "blk.\(layer).\(name).weight", shape: [experts.count, first.rows, first.columns], tensors: experts,
          uses: sites.map { .matrix($0) }, rowMap: nil, isPrecise: false))
    }
  }

  /// The linear maps of a layer, each entry one tensor with its bias; maps that the model does not have are passed over.
  private mutating func append(
    _ sources: WeightSources, _ layer: Int, _ linears: [(name: String, projections: [Projection])], isPrecise: Bool = false
  ) throws(ModelError) {
    for (name, projections) in linears {
      let sites = projections.map { WeightSite.layer(layer, $0) }
      let tensors = sites.compactMap { sources.matrices[$0]?.tensor }
      guard tensors.count == sites.count else { continue }
      let rowMap = rowMap(projections, layer)
      append(
        "blk.\(layer).\(name).weight", tensors, sites.map { .matrix($0) }, rowMap: rowMap, isPrecise: isPrecise)
      let biases = sites.compactMap { site in sources.biases[site].map { changed[.bias(site)] ?? GGUFExport.floats($0) } }
      guard biases.count == sites.count else { continue }
      let values = biases.flatMap { $0 }
      try append("blk.\(layer).\(name).bias", rowMap.map { map in map.map { values[Int($0)] } } ?? values)
    }
  }

  /// Row 2 i + p of a query or key head comes from row p d/2 + i, in architectures that interleave.
  private func rowMap(_ projections: [Projection], _ layer: Int) -> [Int32]? {
    guard interleavesHeads, let projection = projections.first, projections.count == 1,
      projection == .query || projection == .key
    else { return nil }
    let heads = projection == .query ? config.layers[layer].headCount : config.layers[layer].keyValueHeadCount
    let (d, half) = (config.headDimension, config.headDimension / 2)
    return (0..<heads * d).map { row in
      let (head, r) = (row / d, row % d)
      return Int32(head * d + r % 2 * half + r / 2)
    }
  }

  private mutating func append(
    _ name: String, _ tensors: [Tensor], _ uses: [TensorUse.Part], rowMap: [Int32]? = nil, isPrecise: Bool = false
  ) {
    let rows = tensors.reduce(0) { $0 + $1.rows }
    parts.append(
      Part(
        name: name, shape: [rows, tensors.first?.columns ?? 0], tensors: tensors, uses: uses, rowMap: rowMap,
        isPrecise: isPrecise))
  }

  private mutating func append(_ norm: WeightReader.NormSource, _ site: NormSite, _ name: String) throws(ModelError) {
    try append(name + ".weight", changed[.normWeight(site)] ?? GGUFExport.floats(norm.weight))
    if let bias = norm.bias { try append(name + ".bias", changed[.normBias(site)] ?? GGUFExport.floats(bias)) }
  }

  private mutating func append(_ name: String, _ values: [Float]) throws(ModelError) {
    do {
      let tensor = try Tensor(values, shape: [values.count])
      parts.append(Part(name: name, shape: [values.count], tensors: [tensor], uses: [], rowMap: nil, isPrecise: true))
    } catch { throw .storage(error) }
  }

  private static func floats(_ storage: Storage) -> [Float] {
    Array(UnsafeRawBufferPointer(storage.bytes).assumingMemoryBound(to: Float.self))
  }
}
