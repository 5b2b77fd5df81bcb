// SPDX-License-Identifier: Apache-2.0

package import WeftFormats

/// A tokenizer's files do not describe a tokenizer that Weft can run. Every case says where, and what was expected and found.
package enum TokenizerError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A file could not be read, or is not JSON.
  case format(FormatError)
  /// A value that cannot be right. `location` names the file and the place in it.
  case malformed(location: String, expected: String, found: String)
  /// Something that has to be there is not.
  case missing(location: String, name: String)
  /// Well-formed, but a kind that Weft does not know: it is refused, never skipped.
  case unsupported(location: String, expected: String, found: String)

  package var description: String {
    switch self {
    case .format(let error): error.description
    case .malformed(let location, let expected, let found): "\(location): expected \(expected), found \(found)"
    case .missing(let location, let name): "\(location): \(name) is missing"
    case .unsupported(let location, let expected, let found): "\(location): \(found) is not supported; expected \(expected)"
    }
  }
}
