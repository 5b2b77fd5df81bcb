// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// Where a merged model goes: a folder, or a GGUF file, as its models are.
struct CheckpointSink {
  private enum Target {
    case folder(ModelFolderWriter)
    case gguf(GGUFWriter)
  }

  private let target: Target
  private let dtype: DType?
  private let path: String

  init(_ set: CheckpointSet, dtype: DType?, to path: String, maximumShardBytes: Int) throws(MergeError) {
    self.dtype = dtype
    self.path = path
    let tensors = set.parts.map { part in
      // GGUF keeps vectors in F32 whatever the matrices are.
      let isKept = !part.tensor.dtype.isWeight || (set.leader.gguf != nil && part.shape.count == 1)
      return (name: part.name, dtype: isKept ? part.tensor.dtype : dtype ?? part.tensor.dtype, shape: part.shape)
    }
    do throws(FormatError) {
      guard let file = set.leader.gguf else {
        target = .folder(try ModelFolderWriter(path: path, tensors: tensors, maximumShardBytes: maximumShardBytes))
        return
      }
      guard set.vocabularySize == nil else {
        throw FormatError.unsupported(
          location: path, expected: "models with one vocabulary in GGUF files, which hold its tokens", found: "several")
      }
      var metadata: [GGUFWriter.Pair] = file.metadataOrder.compactMap { key in file.field(key).map { (key, $0) } }
      if let dtype {
        let number: UInt32 = dtype == .f32 ? 0 : dtype == .f16 ? 1 : 32
        metadata = metadata.filter { $0.key != "general.file_type" } + [("general.file_type", .uint32(number))]
      }
      target = .gguf(try GGUFWriter(path: path, metadata: metadata, tensors: tensors))
    } catch { throw .format(error) }
  }

  /// Rows of a weight, or all of it.
  func append(_ values: [Float], of part: CheckpointSet.Part) throws(MergeError) {
    var format = part.tensor.dtype
    if let dtype, case .folder = target { format = dtype }
    if let dtype, part.shape.count > 1 { format = dtype }
    do {
      let tensor = try Tensor(rounding: values, shape: [values.count], to: format)
      if let index = tensor.firstNonFinite() {
        throw MergeError.mismatch(
          location: "\(path): tensor '\(part.name)'", expected: "numbers that \(format.name) can hold",
          found: "\(values[index])")
      }
      try append(tensor)
    } catch let error as MergeError { throw error } catch let error as StorageError { throw .storage(error) } catch {
      throw .mismatch(location: path, expected: "a file that can be written", found: "\(error)")
    }
  }

  /// The bytes of a tensor.
  func append(_ tensor: Tensor) throws(MergeError) {
    let bytes = UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount)
    do {
      switch target {
      case .folder(let writer): try writer.append(bytes)
      case .gguf(let writer): try writer.append(bytes)
      }
    } catch { throw .format(error) }
  }

  /// Completes the files.
  func finish(_ set: CheckpointSet) throws(MergeError) {
    do throws(FormatError) {
      switch target {
      case .gguf(let writer): try writer.finish()
      case .folder(let writer):
        var changes: [(key: String, text: String)] = []
        if let dtype { changes.append(set.leader.config?.dtypeMember(dtype) ?? ("torch_dtype", "\"float32\"")) }
        if let rows = set.vocabularySize { changes.append(("vocab_size", "\(rows)")) }
        try writer.finish(config: set.leader.config?.text(changing: changes) ?? "{}", filesOf: set.leader.path)
      }
    } catch { throw .format(error) }
  }
}
