// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine

/// What an answer has to be.
struct GrammarFlags: ParsableArguments {
  @Option(help: ArgumentHelp("Answer with a text of this grammar (GBNF, as llama.cpp has it).", valueName: "gbnf"))
  var grammar: String?

  @Option(help: ArgumentHelp("The same, from a file.", valueName: "file"))
  var grammarFile: String?

  @Option(
    name: [.customShort("j"), .customLong("json-schema")],
    help: ArgumentHelp("Answer with a JSON document that is valid under this schema; {} for any.", valueName: "schema"))
  var jsonSchema: String?

  @Option(help: ArgumentHelp("The same, from a file.", valueName: "file"))
  var jsonSchemaFile: String?

  func validate() throws {
    let given = [
      ("--grammar", grammar), ("--grammar-file", grammarFile), ("--json-schema", jsonSchema),
      ("--json-schema-file", jsonSchemaFile),
    ]
    .filter { $0.1 != nil }
    guard given.count <= 1 else {
      throw ValidationError("expected one grammar, found \(given.map(\.0).joined(separator: " and "))")
    }
  }

  /// The grammar; nil leaves the answer free.
  func outputGrammar() throws -> OutputGrammar? {
    if let grammar { return .gbnf(grammar) }
    if let jsonSchema { return .jsonSchema(jsonSchema) }
    if let grammarFile { return .gbnf(try GrammarFlags.text(of: grammarFile)) }
    return try jsonSchemaFile.map { .jsonSchema(try GrammarFlags.text(of: $0)) }
  }

  private static func text(of path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw EngineError(.notFound, "\(path): expected a file with a grammar or schema, found none that can be read")
    }
    guard let text = String(data: data, encoding: .utf8) else {
      throw EngineError(.corruptFile, "\(path): expected UTF-8 text")
    }
    return text
  }
}
