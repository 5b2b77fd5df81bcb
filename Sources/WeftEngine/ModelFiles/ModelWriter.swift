// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
package import WeftTensors

/// Writes a `ModelSource` as a GGUF file, tensors in the formats of a plan, all threads together.
///
/// A piece of a tensor is read, encoded and written at a time, so that memory stays small whatever the model. The same source,
/// type and importance give the same bytes, with any number of threads.
package struct ModelWriter {
  let source: ModelSource
  let plan: QuantizationPlan
  let type: QuantizationType
  let importance: (path: String, matrix: ImportanceMatrix)?
  private let encoder: PartEncoder

  /// Plans a file of this type.
  /// - Parameters:
  ///   - importance: an importance matrix file.
  ///   - overrides: formats for tensors by name, or by a part of the name between dots (`attn_v`), that come before the plan's.
  package init(
    _ source: ModelSource, type: QuantizationType, importance path: String? = nil,
    overrides: [(name: String, dtype: DType)] = [],
    threads: Int = EngineOptions.processorCount
  ) throws(EngineError) {
    self.source = source
    self.type = type
    do {
      importance = try path.map { path throws(FormatError) in (path, try ImportanceMatrix(path: path)) }
    } catch { throw EngineError(error) }
    encoder = try PartEncoder(threads: threads, location: source.path)
    plan = try QuantizationPlan(
      type, model: source.model, tensors: source.parts.map { ($0.name, $0.shape, $0.dtype) }, hasImportance: importance != nil
    ).overridden(by: overrides)
    if let importance, !source.parts.contains(where: { importance.matrix.entries[$0.name] != nil }) {
      throw EngineError(
        .invalidArgument,
        "\(importance.path): expected sums for tensors of \(source.path), found only others, as '\(importance.matrix.entries.keys.min() ?? "")'"
      )
    }
  }

  /// The tensors as they will be written.
  package var tensors: [(name: String, shape: [Int], dtype: DType)] {
    source.parts.map { ($0.name, $0.shape, plan.dtype(of: $0.name) ?? $0.dtype) }
  }

  /// Writes the file. It replaces what is at the path when it is complete, and not before.
  /// - Parameter onProgress: gets the share that is done, from 0 to 1.
  /// - Returns: what became of the tensors that something was fused into.
  @discardableResult
  package func write(to path: String, onProgress: (Double) -> Void) throws(EngineError) -> [FusedTensor] {
    let total = Double(source.parts.reduce(0) { $0 + $1.elementCount })
    var done = 0
    var fused: [FusedTensor] = []
    do {
      let writer = try GGUFWriter(path: path, metadata: metadata, tensors: tensors.map { ($0.name, $0.dtype, $0.shape) })
      for part in source.parts {
        let weights = try importance?.matrix.means(
          of: part.name, columns: part.shape.last ?? 1, matrices: part.shape.dropLast(2).reduce(1, *),
          location: importance?.path ?? "")
        let dtype = plan.dtype(of: part.name) ?? part.dtype
        let measured = try encoder.encode(part, as: dtype, importance: weights) { (bytes, rows) throws(FormatError) in
          try writer.append(bytes)
          done += rows * (part.shape.last ?? 1)
          onProgress(Double(done) / total)
        }
        if let measured { fused.append(measured) }
      }
      try writer.finish()
      return fused
    } catch let error as FormatError { throw EngineError(error) } catch let error as EngineError { throw error } catch {
      throw EngineError(.corruptFile, "\(error)")
    }
  }

  /// The source's metadata with what has changed: the type, and where the importance comes from.
  private var metadata: [GGUFWriter.Pair] {
    var changed: [GGUFWriter.Pair] = [("general.file_type", .uint32(type.number))]
    if tensors.contains(where: \.dtype.isQuantized) { changed.append(("general.quantization_version", .uint32(2))) }
    if let importance {
      let used = source.parts.filter { importance.matrix.entries[$0.name] != nil }.count
      changed.append(("quantize.imatrix.file", .string(importance.path)))
      changed.append(("quantize.imatrix.dataset", .string(importance.matrix.datasets.joined(separator: ", "))))
      changed.append(("quantize.imatrix.entries_count", .uint32(UInt32(used))))
      changed.append(("quantize.imatrix.chunks_count", .uint32(UInt32(clamping: importance.matrix.chunkCount))))
    }
    let kept = source.metadata.filter { pair in
      !pair.key.hasPrefix("quantize.imatrix.") && !changed.contains { $0.key == pair.key }
    }
    return kept + changed
  }
}
