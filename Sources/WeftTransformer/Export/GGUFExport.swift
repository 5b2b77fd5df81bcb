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

  /// Reads a folder: its configuration and all tensors, which are checked as for running.
  package init(_ checkpoint: Checkpoint) throws(ModelError) {
    let architecture = try Architecture.of(checkpoint).0
    let sources = try WeightSources(checkpoint, readsValues: true)
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
    for (name, values) in fields.vectors { try append(name, values) }
  }

  /// Architectures whose files have one matrix for queries, keys and values, and for gate and up.
  static let fusesAttention: Set<String> = ["gpt2", "phi3", "openelm"]
  static let fusesFeedForward: Set<String> = ["phi3"]

  private mutating func appendTensors(_ sources: WeightSources) throws(ModelError) {
    let names = TensorNames.gguf
    append(names.embedding + ".weight", [sources.embedding.tensor])
    if let positions = sources.positions { append(names.positionEmbedding + ".weight", [positions.tensor], isPrecise: true) }
    for layer in 0..<config.layerCount {
      for role in NormRole.allCases {
        guard let norm = sources.norms[layer].source(role), let name = names.norms[role] else { continue }
        try append(norm, names.layer(layer, name))
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
    try append(sources.outputNorm, names.outputNorm)
    if let head = sources.head { append(names.outputHead + ".weight", [head.tensor]) }
  }

  private mutating func appendExperts(_ sources: WeightSources, _ layer: Int) throws(ModelError) {
    try append(sources, layer, [("ffn_gate_inp", [.router])], isPrecise: true)
    if let row = sources.matrices[.layer(layer, .sharedExpertGate)]?.tensor {
      // One row: a vector.
      try append("blk.\(layer).ffn_gate_inp_shexp.weight", row.floats())
    }
    try append(
      sources, layer, [("ffn_gate_shexp", [.sharedGate]), ("ffn_up_shexp", [.sharedUp]), ("ffn_down_shexp", [.sharedDown])])
    for (name, projection) in [("ffn_gate_exps", Projection.gate), ("ffn_up_exps", .up), ("ffn_down_exps", .down)] {
      let experts = (0..<(config.experts?.count ?? 0)).compactMap { sources.matrices[.expert(layer, $0, projection)]?.tensor }
      guard let first = experts.first else { continue }
      parts.append(
        Part(
          name: "blk.\(layer).\(name).weight", shape: [experts.count, first.rows, first.columns], tensors: experts, rowMap: nil,
          isPrecise: false))
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
      append("blk.\(layer).\(name).weight", tensors, rowMap: rowMap, isPrecise: isPrecise)
      let biases = sites.compactMap { sources.biases[$0] }
      guard biases.count == sites.count else { continue }
      let values = biases.flatMap(GGUFExport.floats)
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

  private mutating func append(_ name: String, _ tensors: [Tensor], rowMap: [Int32]? = nil, isPrecise: Bool = false) {
    let rows = tensors.reduce(0) { $0 + $1.rows }
    parts.append(
      Part(name: name, shape: [rows, tensors.first?.columns ?? 0], tensors: tensors, rowMap: rowMap, isPrecise: isPrecise))
  }

  private mutating func append(_ norm: WeightReader.NormSource, _ name: String) throws(ModelError) {
    try append(name + ".weight", GGUFExport.floats(norm.weight))
    if let bias = norm.bias { try append(name + ".bias", GGUFExport.floats(bias)) }
  }

  private mutating func append(_ name: String, _ values: [Float]) throws(ModelError) {
    do {
      let tensor = try Tensor(values, shape: [values.count])
      parts.append(Part(name: name, shape: [values.count], tensors: [tensor], rowMap: nil, isPrecise: true))
    } catch { throw .storage(error) }
  }

  private static func floats(_ storage: Storage) -> [Float] {
    Array(UnsafeRawBufferPointer(storage.bytes).assumingMemoryBound(to: Float.self))
  }
}
