// SPDX-License-Identifier: Apache-2.0

package import WeftFormats

/// A router, its training examples or its training options cannot be used.
package enum RouterError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The bytes of a file are not what its format promises, or the file could not be read or written.
  case file(FormatError)
  /// A value that a router cannot have or be trained with. `location` names file and place, an example, or an option.
  case unusable(location: String, expected: String, found: String)

  package var description: String {
    switch self {
    case .file(let error): error.description
    case .unusable(let location, let expected, let found): "\(location): expected \(expected), found \(found)"
    }
  }
}
