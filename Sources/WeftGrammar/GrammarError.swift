// SPDX-License-Identifier: Apache-2.0

package import WeftFormats

/// A grammar or a JSON schema that cannot be used, or text that cannot be continued under it.
package enum GrammarError: Error, Equatable, CustomStringConvertible {
  /// GBNF text that is no grammar, or one that cannot be followed.
  case malformed(SourcePlace, expected: String, found: String)
  /// A JSON schema that cannot be compiled. `pointer` is the place in it (RFC 6901), behind `#`.
  case schema(pointer: String, expected: String, found: String)
  /// The schema's text is not JSON.
  case json(FormatError)
  /// Following the grammar takes more memory or time than is reserved for it.
  case limit(expected: String, found: String)

  package var description: String {
    switch self {
    case .malformed(let place, let expected, let found): "grammar, \(place): expected \(expected), found \(found)"
    case .schema(let pointer, let expected, let found): "JSON schema, #\(pointer): expected \(expected), found \(found)"
    case .json(let error): error.description
    case .limit(let expected, let found): "grammar: expected \(expected), found \(found)"
    }
  }
}

/// A place in a text; both count from 1, columns in characters.
package struct SourcePlace: Equatable, Sendable, CustomStringConvertible {
  package var line: Int
  package var column: Int

  package init(line: Int, column: Int) {
    self.line = line
    self.column = column
  }

  package var description: String { "line \(line), column \(column)" }
}
