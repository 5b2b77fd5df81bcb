// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine
import WeftFormats

/// `weft imatrix`: which columns of the weights matter.
struct ImportanceCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "imatrix",
    abstract: "Collect an importance matrix from a text, for weft quantize.",
    discussion: """
      The model reads the text in windows of --context tokens (default 512), and what its weights are multiplied by is added up. Take a \
      text like those that the model will see, of some ten thousand tokens, and the model that will be quantised, in F32, F16 or BF16. \
      The file has the form of llama.cpp's llama-imatrix, either program reads those of the other.

        weft imatrix --model model-f16.gguf --file text.txt --output model.imatrix.gguf
        weft quantize model-f16.gguf --type Q4_K_M --imatrix model.imatrix.gguf --output model-q4_k_m.gguf
      """)

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @Option(name: .shortAndLong, help: ArgumentHelp("A text file in UTF-8.", valueName: "path"))
  var file: String

  @Option(help: ArgumentHelp("The importance matrix to write.", valueName: "file"))
  var output: String

  @Option(help: "Read only so many windows.")
  var chunks: Int?

  func validate() throws {
    guard chunks ?? 1 >= 1 else { throw ValidationError("expected --chunks of 1 or more") }
  }

  func run() throws {
    let text = try TextFile.read(file)
    let window = model.context ?? 512
    let engine = try model.open(EngineOptions(contextLength: window, maximumSequences: 1)).engine
    defer { Terminal.showProgress("") }
    let matrix = try engine.importanceMatrix(of: text, dataset: file, window: window, maximumWindows: chunks) { done, total in
      Terminal.showProgress("\(Readable.padded(Terminal.bar(Double(done) / Double(total)), 24)) \(done) of \(total) windows")
    }
    Terminal.showProgress("")
    do { try matrix.write(to: output) } catch { throw EngineError(error) }
    print(
      "\(output): columns of \(Readable.count(matrix.entries.count, "tensor")), "
        + "\(Readable.count(matrix.chunkCount, "window")) of \(window) tokens")
  }
}
