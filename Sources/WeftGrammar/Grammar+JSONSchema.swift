// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

extension Grammar {
  /// Compiles a JSON schema; see `JSONSchemaCompiler` for what is supported.
  package init(jsonSchema text: String) throws(GrammarError) {
    let gbnf = try Grammar.gbnf(jsonSchema: text)
    do { try self.init(gbnf: gbnf) } catch .malformed(_, let expected, let found) {
      // The place is one of a text that nobody wrote.
      throw .schema(pointer: "", expected: "a schema whose grammar is \(expected)", found: found)
    }
  }

  /// The grammar that a JSON schema is compiled to.
  package static func gbnf(jsonSchema text: String) throws(GrammarError) -> String {
    do { return try JSONSchemaCompiler.gbnf(of: SchemaValue(try JSON(parsing: text, location: "JSON schema"))) } catch let error
      as FormatError
    {
      throw .json(error)
    } catch let error as GrammarError {
      throw error
    } catch {
      throw .schema(pointer: "", expected: "a JSON schema", found: "\(error)")
    }
  }
}
