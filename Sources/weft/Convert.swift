// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine
import WeftTensors

/// `weft convert`: a Hugging Face folder as one GGUF file.
struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a Hugging Face folder as one GGUF file.",
    discussion: """
      The file has the configuration, the tokenizer and the chat template, and programs that read GGUF compute the same with it; \
      what GGUF cannot hold is refused by name. Without --type the numbers stay as they are. A file at the output path is \
      replaced when the new one is complete; until then, and when anything fails, it stays as it is.

        weft convert SmolLM2-135M-Instruct --output smollm2.gguf
        weft convert SmolLM2-135M-Instruct --type Q4_K_M --output smollm2-q4_k_m.gguf
      """)

  @Argument(help: ArgumentHelp("A folder with config.json and safetensors.", valueName: "folder"))
  var folder: String

  @Option(help: ArgumentHelp("The GGUF file to write.", valueName: "file"))
  var output: String

  @Option(help: "What to write (default: what the folder has).")
  var type: QuantizationType?

  @Option(help: "Threads (default: as many as processors).")
  var threads: Int?

  func run() throws {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), !isFolder.boolValue {
      throw EngineError(
        .invalidArgument, "\(folder): expected a folder, found a file; weft quantize changes the type of a GGUF file")
    }
    Terminal.showProgress("reading \(folder)")
    defer { Terminal.showProgress("") }
    let source = try ModelSource(path: folder)
    Terminal.showProgress("")
    for note in source.notes { Terminal.note(note) }
    let writer = try ModelWriter(
      source, type: type ?? source.ownType, threads: threads ?? EngineOptions.processorCount)
    try ModelFileOutput(path: output, source: folder).write(writer)
  }
}
