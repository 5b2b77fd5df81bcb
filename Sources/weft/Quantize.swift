// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine
import WeftTensors

extension QuantizationType: ExpressibleByArgument {
  /// The type of this name.
  public init?(argument: String) { self.init(name: argument) }

  /// The names that help lists.
  public static var allValueStrings: [String] { allCases.map(\.rawValue) }
}

/// `attn_v=Q6_K`
struct TensorTypeArgument: ExpressibleByArgument {
  let name: String
  let dtype: DType

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1)
    guard parts.count == 2, let dtype = DType.allCases.first(where: { $0.name == parts[1].uppercased() }), dtype.isEncodable
    else {
      return nil
    }
    (name, self.dtype) = (String(parts[0]), dtype)
  }
}

/// `weft quantize`: a smaller file of the same model.
struct Quantize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a model as GGUF with smaller numbers.",
    discussion: """
      MODEL is a GGUF file or a Hugging Face folder, best with F32, F16 or BF16 numbers. Q4_K and Q5_K mean Q4_K_M and Q5_K_M. An \
      importance matrix (weft imatrix) tells the encoder which columns matter. A file at the output path is replaced when the new one is \
      complete; until then, and when anything fails, it stays as it is.

        weft quantize model-f16.gguf --type Q4_K_M --output model-q4_k_m.gguf
        weft quantize folder --type Q4_K_M --imatrix model.imatrix.gguf --output model-q4_k_m.gguf
        weft quantize model-f16.gguf --type Q4_0 --tensor-type attn_v=Q8_0 --output model-q4_0.gguf
      """)

  @Argument(help: ArgumentHelp("A GGUF file or a Hugging Face folder.", valueName: "model"))
  var model: String

  @Option(help: "What to write.")
  var type: QuantizationType

  @Option(help: ArgumentHelp("The GGUF file to write.", valueName: "file"))
  var output: String

  @Option(help: ArgumentHelp("An importance matrix.", valueName: "file"))
  var imatrix: String?

  @Option(
    name: .customLong("tensor-type"),
    help: ArgumentHelp(
      "Another format for a tensor, or for all with this part in their names; repeatable.", valueName: "name=type"))
  var tensorTypes: [TensorTypeArgument] = []

  @Option(help: "Threads (default: as many as processors).")
  var threads: Int?

  func run() throws {
    let source = try ModelSource(path: model)
    let writer = try ModelWriter(
      source, type: type, importance: imatrix, overrides: tensorTypes.map { ($0.name, $0.dtype) },
      threads: threads ?? EngineOptions.processorCount)
    if source.parts.contains(where: \.dtype.isQuantized), type.dtype.isQuantized {
      Terminal.note("\(model) is quantised already: a file made from F32, F16 or BF16 would be better")
    }
    try ModelFileOutput(path: output, source: model).write(writer)
  }
}

/// The end of all commands that write a model.
struct ModelFileOutput {
  let path: String
  let source: String

  /// Writes the file with a progress bar, and says what it is.
  func write(_ writer: ModelWriter) throws {
    guard !isSource else {
      throw EngineError(.invalidArgument, "--output: expected another file than the model, found \(path)")
    }
    let clock = ContinuousClock()
    let begin = clock.now
    defer { Terminal.showProgress("") }
    var shown = begin
    try writer.write(to: path) { share in
      let now = clock.now
      guard now - shown > .milliseconds(50) else { return }
      shown = now
      Terminal.showProgress("\(Readable.padded(Terminal.bar(share), 24)) \(Readable.percent(share))  \(path)")
    }
    Terminal.showProgress("")
    let bytes = writer.tensors.reduce(0) { $0 + ($1.dtype.byteCount(elements: $1.shape.reduce(1, *)) ?? 0) }
    let elements = writer.tensors.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let bits = Readable.decimal(Double(bytes) * 8 / Double(max(elements, 1)), digits: 2)
    print(
      "\(path): \(Readable.count(writer.tensors.count, "tensor")), \(Readable.bytes(bytes)), \(bits) bits per number, "
        + Readable.seconds((clock.now - begin) / .seconds(1)))
  }

  /// The model itself is never replaced: it is the better of the two.
  private var isSource: Bool { FileIdentity(path).map { $0 == FileIdentity(source) } ?? false }
}
