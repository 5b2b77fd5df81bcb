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
  let pool: ThreadPool

  /// Bytes of a piece.
  private static let pieceBytes = 16 << 20

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
    guard (1...1024).contains(threads) else {
      throw EngineError(.invalidArgument, "threads: expected 1 to 1024, found \(threads)")
    }
    do { pool = try ThreadPool(threads: threads) } catch { throw EngineError(error) }
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
  package func write(to path: String, onProgress: (Double) -> Void) throws(EngineError) {
    let total = Double(source.parts.reduce(0) { $0 + $1.elementCount })
    var done = 0
    do {
      let writer = try GGUFWriter(path: path, metadata: metadata, tensors: tensors.map { ($0.name, $0.dtype, $0.shape) })
      for part in source.parts {
        let weights = try importance?.matrix.means(
          of: part.name, columns: part.shape.last ?? 1, matrices: part.shape.dropLast(2).reduce(1, *),
          location: importance?.path ?? "")
        try write(part, weights: weights, to: writer) { rows in
          done += rows * (part.shape.last ?? 1)
          onProgress(Double(done) / total)
        }
      }
      try writer.finish()
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

  private func write(
    _ part: ModelSource.Part, weights: [[Float]]?, to writer: GGUFWriter, onRows: (Int) -> Void
  ) throws {
    let dtype = plan.dtype(of: part.name) ?? part.dtype
    let columns = part.shape.last ?? 1
    let rowBytes = columns / dtype.blockElements * dtype.blockBytes
    let totalRows = part.shape.dropLast().reduce(1, *)
    let rowsOfWeights = weights.map { totalRows / $0.count }
    var firstRow = 0
    for tensor in try part.load() {
      let pieceRows = max(1, min(tensor.rows, ModelWriter.pieceBytes / max(rowBytes, 1)))
      let piece = try Storage(byteCount: pieceRows * rowBytes)
      for begin in stride(from: 0, to: tensor.rows, by: pieceRows) {
        let rows = begin..<min(begin + pieceRows, tensor.rows)
        let faults = Faults(threads: pool.threadCount)
        let offset = firstRow
        pool.run { worker in
          let grain = max(1, min(64, (rows.count + worker.threadCount - 1) / worker.threadCount))
          worker.slices(rows.count, grain: grain) { slice in
            for index in slice {
              let row = rows.lowerBound + index
              if let fault = encode(
                tensor, row, as: dtype, rowMap: part.rowMap,
                importance: rowsOfWeights.flatMap { weights?[(offset + row) / $0] }, into: piece, at: index * rowBytes)
              {
                faults.note(fault, worker.index)
              }
            }
          }
        }
        if let fault = faults.first { throw error(fault, part.name, dtype) }
        try writer.append(UnsafeRawBufferPointer(start: piece.base, count: rows.count * rowBytes))
        onRows(rows.count)
      }
      firstRow += tensor.rows
    }
  }

  /// What can be wrong with a row.
  private enum Fault { case notFinite, tooLarge }

  /// The faults that threads find; each writes its own place.
  private final class Faults: @unchecked Sendable {
    private var places: [Fault?]

    init(threads: Int) { places = [Fault?](repeating: nil, count: threads) }

    func note(_ fault: Fault, _ thread: Int) { places.withUnsafeMutableBufferPointer { $0[thread] = fault } }

    var first: Fault? { places.lazy.compactMap { $0 }.first }
  }

  private func encode(
    _ tensor: Tensor, _ row: Int, as dtype: DType, rowMap: [Int32]?, importance: [Float]?, into piece: Storage, at offset: Int
  ) -> Fault? {
    let source = rowMap.map { Int($0[row]) } ?? row
    let values = Tensor(
      dtype: tensor.dtype, shape: [tensor.columns], storage: tensor.storage, offset: tensor.offset + source * tensor.rowBytes)
    guard values?.firstNonFinite() == nil else { return .notFinite }
    tensor.encodeRows(row..<row + 1, as: dtype, rowMap: rowMap, importance: importance, into: piece.base + offset)
    let encoded = Tensor(dtype: dtype, shape: [tensor.columns], storage: piece, offset: offset)
    return encoded?.firstNonFinite() == nil ? nil : .tooLarge
  }

  private func error(_ fault: Fault, _ name: String, _ dtype: DType) -> EngineError {
    switch fault {
    case .notFinite:
      EngineError(.corruptFile, "\(source.path): tensor '\(name)': expected finite numbers, found NaN or infinity")
    case .tooLarge:
      EngineError(
        .unsupported, "\(source.path): tensor '\(name)': expected numbers that \(dtype.name) can hold, found larger ones")
    }
  }
}
