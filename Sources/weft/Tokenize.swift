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
      """)

  @Argument(help: "The text.")
  var text: String?

  @Option(help: ArgumentHelp("A GGUF file or a Hugging Face folder (default: the demo model).", valueName: "path"))
  var model: String?

  @Flag(help: "Read the text from standard input, all of it, its last newline included.")
  var stdin = false

  @Flag(help: "Print the ids alone, on one line.")
  var ids = false

  @Flag(help: "Leave out the tokens that the model wants before and behind a text.")
  var noSpecial = false

  func validate() throws {
    guard stdin != (text != nil) else { throw ValidationError("expected either a text or --stdin") }
  }

  func run() throws {
    let tokenizer = try Tokenize.open(try model ?? DemoModel.find().model)
    let tokens = tokenizer.encode(try text ?? Tokenize.readInput(), addSpecial: !noSpecial, parseSpecial: true)
    if ids { return print(tokens.map { "\($0)" }.joined(separator: " ")) }
    let width = tokens.map { "\($0)".count }.max() ?? 0
    for token in tokens {
      print(Readable.padded("\(token)", width, right: true) + "  " + JSON.text(tokenizer.vocabulary.piece(of: token) ?? ""))
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
    guard let text = String(data: FileHandle.standardInput.readDataToEndOfFile(), encoding: .utf8) else {
      throw EngineError(.invalidArgument, "standard input: expected UTF-8 text")
    }
    return text
  }
}
