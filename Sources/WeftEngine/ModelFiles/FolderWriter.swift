// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors
internal import WeftTransformer

/// Writes a Hugging Face folder that differs from another in its weights: the tensors of a fused checkpoint under their names,
/// its configuration, and copies of its tokenizer and its other files.
struct FolderWriter {
  private let checkpoint: Checkpoint
  private let parts: [ModelSource.Part]
  private let separatesHead: Bool
  /// The float format of all tensors; nil to leave each what it is.
  private let dtype: DType?

  init(_ fused: FusedCheckpoint, dtype: DType?) throws(EngineError) {
    guard fused.checkpoint.form == .huggingFace else {
      throw EngineError(
        .unsupported,
        "\(fused.checkpoint.path): expected a folder, whose configuration and tokenizer the new folder gets, found a GGUF file; "
          + "write a GGUF file, or name the folder with --master")
    }
    checkpoint = fused.checkpoint
    separatesHead = fused.separatesHead
    self.dtype = dtype
    let tensors = checkpoint.tensors.sorted { $0.key < $1.key }.map { (name: $0.key, tensor: $0.value) }
    parts = try ModelSource.parts(tensors, fused: fused)
  }

  /// - Parameter onProgress: gets the share that is done, from 0 to 1.
  func write(
    to path: String, maximumShardBytes: Int, encoder: PartEncoder, onProgress: (Double) -> Void
  ) throws(EngineError) -> [FusedTensor] {
    let config = try self.config()
    let total = Double(parts.reduce(0) { $0 + $1.elementCount })
    var done = 0
    var fused: [FusedTensor] = []
    do {
      let writer = try ModelFolderWriter(
        path: path, tensors: parts.map { ($0.name, dtype(of: $0), $0.shape) }, maximumShardBytes: maximumShardBytes)
      for part in parts {
        let measured = try encoder.encode(part, as: dtype(of: part)) { (bytes, rows) throws(FormatError) in
          try writer.append(bytes)
          done += rows * (part.shape.last ?? 1)
          onProgress(Double(done) / total)
        }
        if let measured { fused.append(measured) }
      }
      try writer.finish(config: config, filesOf: checkpoint.path)
      return fused
    } catch let error as FormatError { throw EngineError(error) } catch let error as EngineError { throw error } catch {
      throw EngineError(.corruptFile, "\(error)")
    }
  }

  /// What is no weight stays what it is.
  private func dtype(of part: ModelSource.Part) -> DType { part.dtype.isWeight ? dtype ?? part.dtype : part.dtype }

  /// config.json with what has changed.
  private func config() throws(EngineError) -> String {
    var changes: [(key: String, text: String)] = []
    if separatesHead { changes.append(("tie_word_embeddings", "false")) }
    if let dtype, let member = checkpoint.config?.dtypeMember(dtype) { changes.append(member) }
    return checkpoint.config?.text(changing: changes) ?? "{}"
  }
}
