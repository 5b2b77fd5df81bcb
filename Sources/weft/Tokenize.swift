// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine
import WeftFormats
import WeftTokenizers

/// `weft tokenize`: text to token ids.
struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the tokens of a text.",
    discussion: """
      Prints every id with its piece, or with --ids all ids on one line. A GGUF file that holds only a vocabulary is enough. \
      Spellings of special tokens are read as those tokens.

        weft tokenize --model vocab.gguf "Hello world"
        weft tokenize --model model.gguf --stdin --ids < text.txt
        weft tokenize --model model.gguf --stdin --time < text.txt
        weft tokenize --model model.gguf --lines < texts.jsonl
      """)

  @Argument(help: "The text.")
  var text: String?

  @Option(help: ArgumentHelp("A GGUF file or a Hugging Face folder (default: the demo model).", valueName: "path"))
  var model: String?

  @Flag(help: "Read the text from standard input, all of it, its last newline included.")
  var stdin = false

  @Flag(help: "Print the ids alone, on one line.")
  var ids = false

  @Flag(help: "Print how many tokens there are, and how long encoding took on one thread.")
  var time = false

  @Flag(help: "Read many texts from standard input, one JSON string per line, and print the ids of each on a line.")
  var lines = false

  @Flag(help: "Leave out the tokens that the model wants before and behind a text.")
  var noSpecial = false

  func validate() throws {
    guard [stdin, lines, text != nil].filter({ $0 }).count == 1 else {
      throw ValidationError("expected one of: a text, --stdin, --lines")
    }
    guard [ids, time, lines].filter({ $0 }).count < 2 else {
      throw ValidationError("expected at most one of --ids, --time, --lines")
    }
  }

  func run() throws {
    let tokenizer = try Tokenize.open(try model ?? DemoModel.find().model)
    if lines { return try encodeLines(tokenizer) }
    let input = try text ?? Tokenize.readInput()
    let start = ContinuousClock.now
    let tokens = tokenizer.encode(input, addSpecial: !noSpecial, parseSpecial: true)
    if time {
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      let speed = String(format: "%.2f s, %.1f MB/s", seconds, Double(input.utf8.count) / 1e6 / max(seconds, 1e-9))
      return print("\(tokens.count) tokens of \(input.utf8.count) bytes in \(speed)")
    }
    if ids { return print(tokens.map { "\($0)" }.joined(separator: " ")) }
    let width = tokens.map { "\($0)".count }.max() ?? 0
    for token in tokens {
      print(Readable.padded("\(token)", width, right: true) + "  " + JSON.text(tokenizer.vocabulary.piece(of: token) ?? ""))
    }
  }

  private func encodeLines(_ tokenizer: Tokenizer) throws {
    var number = 0
    while let line = readLine() {
      number += 1
      let location = "standard input, line \(number)"
      let json: JSON
      do { json = try JSON(parsing: line, location: location) } catch { throw EngineError(error) }
      guard let text = json.string else {
        throw EngineError(.invalidArgument, "\(location): expected a string, found \(json.kind)")
      }
      let tokens = tokenizer.encode(text, addSpecial: !noSpecial, parseSpecial: true)
      print(tokens.map { "\($0)" }.joined(separator: " "))
    }
  }

  private static func open(_ path: String) throws -> Tokenizer {
    do {
      var isFolder: ObjCBool = false
      if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
        return try Tokenizer(folder: path)
      }
      return try Tokenizer(metadata: try GGUFFile(path: path).metadata, location: path)
    } catch let error as FormatError { throw EngineError(error) } catch let error as TokenizerError { throw EngineError(error) }
  }

  private static func readInput() throws -> String {
    // Foundation's decoding drops a byte order mark, which is a character like any other here.
    guard let text = String(validating: FileHandle.standardInput.readDataToEndOfFile(), as: UTF8.self) else {
      throw EngineError(.invalidArgument, "standard input: expected UTF-8 text")
    }
    return text
  }
}
