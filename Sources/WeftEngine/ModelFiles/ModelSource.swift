// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
package import WeftFormats
package import WeftTensors
internal import WeftTokenizers
internal import WeftTransformer

/// What goes into a GGUF file: metadata and tensors by GGUF's names, from another GGUF file or from a Hugging Face folder.
package struct ModelSource {
  /// A tensor of the file that will be written.
  package struct Part {
    /// GGUF's name.
    package let name: String
    /// PyTorch's order; [experts, out, in] for a stack of matrices.
    package let shape: [Int]
    /// The format that the numbers have in the source.
    package let dtype: DType
    /// For every row of the tensor the row of the source it comes from; nil for the identity.
    let rowMap: [Int32]?
    /// What makes up this one, rows one after the other.
    let pieces: [Piece]

    package var elementCount: Int { shape.reduce(1, *) }
  }

  /// Consecutive rows of a tensor.
  struct Piece {
    /// The rows before something was fused into them; nil where nothing is.
    let before: Tensor?
    let load: () throws(EngineError) -> Tensor

    init(_ tensor: Tensor) {
      before = nil
      load = { () throws(EngineError) in tensor }
    }

    init(_ piece: FusedCheckpoint.Piece) {
      before = piece.before
      load = { () throws(EngineError) in
        do throws(ModelError) { return try piece.load() } catch { throw EngineError(error) }
      }
    }
  }

  /// The file or folder.
  package let path: String
  package let metadata: [GGUFWriter.Pair]
  package let parts: [Part]
  package let model: QuantizationPlan.Model
  /// What the user should know about the file that will be made, in sentences.
  package let notes: [String]

  /// The type that leaves most numbers as they are.
  package var ownType: QuantizationType {
    let counts = parts.filter { $0.shape.count > 1 }.reduce(into: [DType: Int]()) {
      $0[$1.dtype, default: 0] += $1.elementCount
    }
    let most = counts.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }?.key
    return QuantizationType.allCases.first { $0.dtype == most } ?? .f16
  }

  /// The tensors and metadata of a GGUF file, with what is fused into it.
  init(gguf file: GGUFFile, fused: FusedCheckpoint? = nil) throws(EngineError) {
    if let count = file.metadata["split.count"]?.int, count > 1 {
      throw EngineError(.unsupported, "\(file.path): expected a whole model, found one of \(count) parts; join them first")
    }
    guard let architecture = file.metadata["general.architecture"]?.string else {
      throw EngineError(.corruptFile, "\(file.path): expected a model with general.architecture, found none")
    }
    path = file.path
    notes = []
    metadata = file.metadataOrder.filter { !$0.hasPrefix("split.") }
      .compactMap { key in file.field(key).map { (key, $0) } }
    parts = try ModelSource.parts(file.tensorOrder.compactMap { name in file.tensors[name].map { (name, $0) } }, fused: fused)
    func largest(_ key: String) -> Int? {
      let value = file.metadata["\(architecture).\(key)"]
      return value?.int ?? value?.integers?.max().flatMap { Int(exactly: $0) }
    }
    let heads = largest("attention.head_count") ?? 1
    model = QuantizationPlan.Model(
      architecture: architecture, layerCount: largest("block_count") ?? 0, headCount: heads,
      keyValueHeadCount: largest("attention.head_count_kv") ?? heads, expertCount: largest("expert_count") ?? 0)
  }

  /// The tensors of a Hugging Face folder as GGUF has them, with its tokenizer, when it has one.
  init(folder checkpoint: Checkpoint, fused: FusedCheckpoint? = nil) throws(EngineError) {
    let export: GGUFExport
    do {
      if let fused { export = try GGUFExport(fused) } else { export = try GGUFExport(checkpoint) }
    } catch { throw EngineError(error) }
    let config = export.config
    path = checkpoint.path
    notes = export.notes
    parts = export.parts.map { part in
      let dtypes = Set(part.tensors.map(\.dtype))
      return Part(
        name: part.name, shape: part.shape, dtype: part.isPrecise || dtypes.count != 1 ? .f32 : part.tensors[0].dtype,
        rowMap: part.rowMap,
        pieces: zip(part.tensors.indices, part.tensors).flatMap { index, tensor in
          let changed = part.uses.isEmpty ? nil : fused?.pieces(of: part.uses[index])
          return changed?.map(Piece.init) ?? [Piece(tensor)]
        })
    }
    model = QuantizationPlan.Model(
      architecture: export.architecture, layerCount: config.layerCount, headCount: config.headCount,
      keyValueHeadCount: config.keyValueHeadCount, expertCount: config.experts?.count ?? 0)
    let folder = path.split(separator: "/").last.map(String.init) ?? path
    metadata =
      [
        ("general.architecture", .string(export.architecture)), ("general.type", .string("model")),
        ("general.name", .string(config.name.isEmpty ? folder : config.name)),
      ] + export.metadata + (try ModelSource.tokenizerFields(folder: path, config))
  }

  /// Tensors by their names in a file, with what is fused into them. A head that no longer is the embedding comes last.
  static func parts(
    _ tensors: [(name: String, tensor: Tensor)], fused: FusedCheckpoint?
  ) throws(EngineError) -> [Part] {
    var parts: [Part] = []
    for (name, tensor) in tensors {
      let changed: [FusedCheckpoint.Piece]?
      do { changed = try fused?.pieces(ofTensor: name) } catch { throw EngineError(error) }
      parts.append(
        Part(
          name: name, shape: tensor.shape, dtype: tensor.dtype, rowMap: nil,
          pieces: changed?.map(Piece.init) ?? [Piece(tensor)]))
    }
    if let fused, fused.separatesHead, fused.checkpoint.tensors[fused.headName] == nil,
      let pieces = fused.pieces(of: .matrix(.outputHead)), let head = pieces.first?.before
    {
      parts.append(
        Part(name: fused.headName, shape: head.shape, dtype: head.dtype, rowMap: nil, pieces: pieces.map(Piece.init)))
    }
    return parts
  }

  /// The tokenizer of a folder, or that there is none.
  private static func tokenizerFields(folder: String, _ config: ModelConfig) throws(EngineError) -> [GGUFWriter.Pair] {
    guard let tokenizer = try TextParts.tokenizer(folder: folder) else { return [("tokenizer.ggml.model", .string("none"))] }
    do { return try tokenizer.ggufMetadata(vocabularySize: config.vocabularySize, location: folder) } catch {
      throw EngineError(error)
    }
  }

  /// A checkpoint with a mixture worked into it, as a GGUF file has it.
  init(_ fused: FusedCheckpoint) throws(EngineError) {
    if let gguf = fused.checkpoint.gguf {
      try self.init(gguf: gguf, fused: fused)
    } else {
      try self.init(folder: fused.checkpoint, fused: fused)
    }
  }

  /// Opens a GGUF file or a Hugging Face folder.
  package init(path: String) throws(EngineError) {
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint(path: path) } catch { throw EngineError(error) }
    if let gguf = checkpoint.gguf { try self.init(gguf: gguf) } else { try self.init(folder: checkpoint) }
  }
}
