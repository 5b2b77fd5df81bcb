// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
internal import WeftTensors

/// Adds up the squares of what the linear maps read, column by column: the importance of their columns.
///
/// A recorder belongs to one `Transformer`, whose thread 0 fills it between the phases of a step. Maps that read the same rows
/// share sums. Sums of squares are f64, so that they do not depend on how a text is cut into steps more than rounding does; those
/// of products of two columns (RegMean, https://arxiv.org/abs/2212.09849) are kept on demand, in f32.
package final class InputRecorder {
  /// Sums of squares, [columns], and how many rows they are of.
  package struct Sums {
    package fileprivate(set) var squares: [Double]
    package fileprivate(set) var rowCount = 0
    /// X^T X [columns * columns], where it is recorded; empty elsewhere.
    package fileprivate(set) var products: [Float] = []
  }

  /// By the first map of every group that reads the same rows.
  package private(set) var sums: [WeightSite: Sums] = [:]

  private let recordsProducts: Bool

  package init(recordsProducts: Bool = false) { self.recordsProducts = recordsProducts }

  func add(_ site: WeightSite, _ x: Activations, columns: Int, rows: Range<Int>) {
    guard !rows.isEmpty else { return }
    var entry = sums.removeValue(forKey: site) ?? Sums(squares: [Double](repeating: 0, count: columns))
    entry.squares.withUnsafeMutableBufferPointer { squares in
      for row in rows {
        let values = x.row(row)
        for column in 0..<columns { squares[column] += Double(values[column]) * Double(values[column]) }
      }
    }
    entry.rowCount += rows.count
    if recordsProducts { entry.products.add(productsOf: x, columns: columns, rows: rows) }
    sums[site] = entry
  }
}

extension [Float] {
  /// Adds X^T X; the first time to nothing.
  fileprivate mutating func add(productsOf x: Activations, columns: Int, rows: Range<Int>) {
    let values = rows.flatMap { UnsafeBufferPointer(start: x.row($0), count: columns) }
    // Sizes of a model are beyond neither limit of LAPACK.
    guard
      let products = try? LinearAlgebra.product(
        values, transposed: true, values, transposed: false, rows: columns, inner: rows.count, columns: columns)
    else { return }
    if isEmpty {
      self = products
    } else {
      for index in indices { self[index] += products[index] }
    }
  }
}

extension Step {
  /// Thread 0 records; the others wait, because the next phase overwrites what is read. Does nothing without a recorder.
  @inline(__always)
  private func record(_ body: (InputRecorder) -> Void) {
    guard let recorder else { return }
    if worker.index == 0 { body(recorder) }
    worker.barrier()
  }

  /// The input of query, key and value, and of the output projection, is ready.
  func recordAttentionInput(_ index: Int) {
    record { $0.add(.layer(index, .query), workspace.normed, columns: config.hiddenSize, rows: 0..<batch.rowCount) }
  }

  func recordAttentionOutput(_ layer: DecoderLayer, _ index: Int) {
    let width = layer.config.headCount * config.headDimension
    record { $0.add(.layer(index, .output), workspace.attentionOut, columns: width, rows: 0..<batch.rowCount) }
  }

  /// The input of a dense feed-forward layer, or of the router and the shared expert of a sparse one.
  func recordFeedForwardInput(_ layer: DecoderLayer, _ index: Int) {
    record { recorder in
      let rows = 0..<batch.rowCount
      if layer.experts != nil {
        recorder.add(.layer(index, .router), workspace.normed, columns: config.hiddenSize, rows: rows)
      } else {
        recorder.add(.layer(index, .up), workspace.normed, columns: config.hiddenSize, rows: rows)
      }
    }
  }

  /// The input of the down projection, `memory`.
  func recordDownInput(_ layer: DecoderLayer, _ index: Int, _ memory: Activations) {
    let projection: Projection = layer.experts == nil ? .down : .sharedDown
    record { $0.add(.layer(index, projection), memory, columns: layer.config.intermediateSize, rows: 0..<batch.rowCount) }
  }

  /// What every expert reads, or with `isDown` what its down projection reads.
  func recordExperts(_ index: Int, isDown: Bool) {
    guard let memory = workspace.experts, let experts = config.experts else { return }
    record { recorder in
      for expert in 0..<experts.count {
        recorder.add(
          .expert(index, expert, isDown ? .down : .up), isDown ? memory.feedForward : memory.input,
          columns: isDown ? experts.intermediateSize : config.hiddenSize,
          rows: Int(memory.firstSlots[expert])..<Int(memory.firstSlots[expert + 1]))
      }
    }
  }
}
