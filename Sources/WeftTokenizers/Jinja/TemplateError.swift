// SPDX-License-Identifier: Apache-2.0

/// A chat template could not be compiled or rendered. `location` is the template's name and line.
package enum TemplateError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The text is no Jinja template.
  case syntax(location: String, expected: String, found: String)
  /// A value of a kind that the operation does not take, or an undefined one.
  case value(location: String, expected: String, found: String)
  /// The template called `raise_exception`: it refuses these messages, and says why.
  case raised(location: String, message: String)
  /// The template did more than `Jinja.Limits` allows.
  case limit(location: String, expected: String)
  /// Jinja that Weft does not interpret.
  case unsupported(location: String, found: String)

  package var description: String {
    switch self {
    case .syntax(let location, let expected, let found), .value(let location, let expected, let found):
      "\(location): expected \(expected), found \(found)"
    case .raised(let location, let message): "\(location): the template refuses these messages: \(message)"
    case .limit(let location, let expected): "\(location): expected \(expected), found more"
    case .unsupported(let location, let found): "\(location): \(found) is not supported"
    }
  }
}
