// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// Encodes the tensors of a model in the formats that a file gets, a piece at a time, all threads together.
struct PartEncoder {
  private let pool: ThreadPool
  /// For messages.
  private let location: String

  /// Bytes of a piece.
  private static let pieceBytes = 16 << 20

  /// Receives encoded bytes, and how many rows they are.
  typealias Sink = (UnsafeRawBufferPointer, _ rows: Int) throws(FormatError) -> Void

  init(threads: Int, location: String) throws(EngineError) {
    guard (1...1024).contains(threads) else {
      throw EngineError(.invalidArgument, "threads: expected 1 to 1024, found \(threads)")
    }
    do { pool = try ThreadPool(threads: threads) } catch { throw EngineError(error) }
    self.location = location
  }

  /// Gives all rows of a tensor to the sink.
  /// - Parameter weights: [columns] of importance for each matrix of the tensor; nil when all columns are equal.
  /// - Returns: how far the encoded rows are from what was to be written; nil when nothing was fused into them.
  func encode(
    _ part: ModelSource.Part, as dtype: DType, importance weights: [[Float]]? = nil, to sink: Sink
  ) throws(EngineError) -> FusedTensor? {
    let columns = part.shape.last ?? 1
    let rowBytes = columns / dtype.blockElements * dtype.blockBytes
    let rowsOfWeights = weights.map { part.shape.dropLast().reduce(1, *) / $0.count }
    var firstRow = 0
    var fused: FusedTensor?
    for source in part.pieces {
      let tensor = try source.load()
      let pieceRows = max(1, min(tensor.rows, PartEncoder.pieceBytes / max(rowBytes, 1)))
      let piece: Storage
      do { piece = try Storage(byteCount: pieceRows * rowBytes) } catch { throw EngineError(error) }
      for begin in stride(from: 0, to: tensor.rows, by: pieceRows) {
        let rows = begin..<min(begin + pieceRows, tensor.rows)
        let results = RowResults(threads: pool.threadCount, rows: source.before == nil ? 0 : rows.count)
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
                results.note(fault, worker.index)
              } else if let before = source.before,
                let encoded = Tensor(dtype: dtype, shape: [columns], storage: piece, offset: index * rowBytes)
              {
                let place = part.rowMap.map { Int($0[row]) } ?? row
                results.note(FusedTensor.Sums(before: before, fused: tensor, row: place, encoded: encoded), row: index)
              }
            }
          }
        }
        if let fault = results.fault { throw error(fault, part.name, dtype) }
        if source.before != nil { fused = (fused ?? FusedTensor(name: part.name)).adding(results.sums) }
        do { try sink(UnsafeRawBufferPointer(start: piece.base, count: rows.count * rowBytes), rows.count) } catch {
          throw EngineError(error)
        }
      }
      firstRow += tensor.rows
      // The whole file passes by here: it need not all be in memory at once.
      (source.before ?? tensor).storage.releasePages()
    }
    return fused
  }

  /// What can be wrong with a row.
  private enum Fault { case notFinite, tooLarge }

  /// What threads find out about rows; each writes places of its own.
  private final class RowResults: @unchecked Sendable {
    private var faults: [Fault?]
    private(set) var sums: [FusedTensor.Sums]

    init(threads: Int, rows: Int) {
      faults = [Fault?](repeating: nil, count: threads)
      sums = [FusedTensor.Sums](repeating: FusedTensor.Sums(), count: rows)
    }

    func note(_ fault: Fault, _ thread: Int) { faults.withUnsafeMutableBufferPointer { $0[thread] = fault } }
    func note(_ sum: FusedTensor.Sums, row: Int) { sums.withUnsafeMutableBufferPointer { $0[row] = sum } }

    var fault: Fault? { faults.lazy.compactMap { $0 }.first }
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
      EngineError(.corruptFile, "\(location): tensor '\(name)': expected finite numbers, found NaN or infinity")
    case .tooLarge:
      EngineError(
        .unsupported, "\(location): tensor '\(name)': expected numbers that \(dtype.name) can hold, found larger ones")
    }
  }
}
