// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine

/// `weft perplexity`: how well a model foresees a text.
struct PerplexityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "Measure how well a model foresees a text.",
    discussion: """
      The text is cut into windows of --context tokens (default 512); the second half of each is scored. These are the windows of \
      llama.cpp's llama-perplexity, so that numbers can be compared. The number behind ± is the standard error.

        weft perplexity --model model-q4_k_m.gguf --file test.txt
        weft perplexity --model model.gguf --adapter roman=adapters/roman --file test.txt --chunks 20
      """)

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @OptionGroup(title: "Adapters")
  var adapters: AdapterFlags

  @Option(name: .shortAndLong, help: ArgumentHelp("A text file in UTF-8.", valueName: "path"))
  var file: String

  @Option(help: "Score only so many windows.")
  var chunks: Int?

  func validate() throws {
    guard chunks ?? 1 >= 1 else { throw ValidationError("expected --chunks of 1 or more") }
  }

  func run() throws {
    let text = try TextFile.read(file)
    let window = model.context ?? 512
    let mixture = try adapters.answering()
    let (engine, _) = try model.open(EngineOptions(contextLength: window, maximumSequences: 1, maximumLogitRows: 64), adapters)
    let clock = ContinuousClock()
    let begin = clock.now
    defer { Terminal.showProgress("") }
    var windows = 0
    let result = try engine.perplexity(of: text, window: window, maximumWindows: chunks, adapters: mixture) {
      sofar, done, total in
      windows = total
      Terminal.showProgress(
        "\(Readable.padded(Terminal.bar(Double(done) / Double(total)), 24)) \(done) of \(total) windows  "
          + "perplexity \(PerplexityCommand.text(sofar))")
    }
    Terminal.showProgress("")
    print(
      "perplexity \(PerplexityCommand.text(result)), log-likelihood \(Readable.decimal(result.meanLogLikelihood, digits: 5)) "
        + "per token: \(Readable.count(result.tokenCount, "token")) in \(Readable.count(windows, "window")) of \(window)")
    Terminal.note(Readable.seconds((clock.now - begin) / .seconds(1)))
  }

  private static func text(_ perplexity: Perplexity) -> String {
    "\(Readable.decimal(perplexity.value, digits: 4)) ± "
      + Readable.decimal(perplexity.value * perplexity.standardError, digits: 4)
  }
}

/// A text on disk.
enum TextFile {
  static func read(_ path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw EngineError(.notFound, "\(path): expected a text file, found none that can be read")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw EngineError(.corruptFile, "\(path): expected UTF-8 text, found other bytes")
    }
    return text
  }
}
