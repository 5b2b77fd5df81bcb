// SPDX-License-Identifier: Apache-2.0

import Foundation
import WeftEngine
import WeftFusion

/// What `weft compress` prints.
struct CompressionView {
  private let task: CompressionTask
  private let outcome: CompressionTask.Outcome
  private let output: String
  private let report: CompressionReport

  init(task: CompressionTask, outcome: CompressionTask.Outcome, output: String) {
    self.task = task
    self.outcome = outcome
    self.output = output
    report = CompressionReport(task.modules, outcome.adapter.modules)
  }

  private var ratio: Double { Double(report.halfByteCount) / Double(max(outcome.byteCount, 1)) }

  func print() {
    Swift.print("\(output): \(outcome.method)")
    Swift.print(
      "  \(Readable.bytes(task.storedBytes)) → \(Readable.bytes(outcome.byteCount)), "
        + "\(Readable.decimal(ratio, digits: 1)) times smaller than F16"
        + (report.entropyByteCount.map {
          ", \(Readable.percent(Double(outcome.byteCount) / $0 - 1, digits: 1)) above the entropy of its signs"
        } ?? ""))
    if let before = task.before, let after = outcome.after {
      Swift.print(
        "  loss \(Readable.decimal(before.loss, digits: 4)) → \(Readable.decimal(after.loss, digits: 4)), "
          + "right \(Readable.percent(before.accuracy, digits: 1)) → \(Readable.percent(after.accuracy, digits: 1)) of "
          + Readable.count(before.questionCount, "question"))
    }
    Swift.print("  relative error of the change \(Readable.percent(report.relativeError, digits: 1))")
    printLayers()
  }

  /// A row for each layer, a column for each kind of module.
  private func printLayers() {
    var columns: [String] = []
    for name in report.layers.flatMap({ $0.modules.map(\.name) }) where !columns.contains(name) { columns.append(name) }
    let widths = columns.map { max($0.count, 7) + 2 }
    let heading = zip(columns, widths).map { Readable.padded($0, $1, right: true) }.joined()
    Swift.print(Terminal.styled("  " + Readable.padded("layer", 6) + heading, .dim))
    for layer in report.layers {
      let cells = zip(columns, widths).map { column, width in
        let error = layer.modules.first { $0.name == column }?.relativeError
        return Readable.padded(error.map { Readable.percent($0, digits: 1) } ?? "-", width, right: true)
      }
      Swift.print("  " + Readable.padded(layer.layer.map { "\($0)" } ?? "-", 6) + cells.joined())
    }
  }

  func json() throws -> String {
    struct Measured: Encodable {
      let loss: Double
      let accuracy: Double
    }
    struct Line: Encodable {
      let output: String
      let method: String
      let storedBytes: Int
      let halfBytes: Int
      let packBytes: Int
      let entropyBytes: Double?
      let ratio: Double
      let relativeError: Double
      let layers: [[String: Double]]
      let questions: Int?
      let before: Measured?
      let after: Measured?
    }
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let line = Line(
      output: output, method: outcome.method, storedBytes: task.storedBytes, halfBytes: report.halfByteCount,
      packBytes: outcome.byteCount, entropyBytes: report.entropyByteCount, ratio: ratio, relativeError: report.relativeError,
      layers: report.layers.map { layer in
        Dictionary(layer.modules.map { ($0.name, $0.relativeError) }, uniquingKeysWith: { first, _ in first })
      }, questions: task.before?.questionCount,
      before: task.before.map { Measured(loss: $0.loss, accuracy: $0.accuracy) },
      after: outcome.after.map { Measured(loss: $0.loss, accuracy: $0.accuracy) })
    return String(decoding: try encoder.encode(line), as: UTF8.self)
  }
}
