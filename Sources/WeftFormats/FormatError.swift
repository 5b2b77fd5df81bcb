// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// A file does not hold what its format promises. Every case says where, and what was expected and found.
package enum FormatError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file could not be opened, or memory for it could not be had.
  case storage(StorageError)
  /// A file could not be written; nothing was left at `path` that was not there before.
  case cannotWrite(path: String, reason: String)
  /// A size, offset, count, tag or text that the format forbids. `location` names file and place (a key, a tensor, a byte offset).
  case malformed(location: String, expected: String, found: String)
  /// Something that has to be there is not.
  case missing(location: String, name: String)
  /// Well-formed, but not supported by Weft.
  case unsupported(location: String, expected: String, found: String)
  /// Whole, but not vouched for by whom it has to be.
  case untrusted(location: String, expected: String, found: String)

  package var description: String {
    switch self {
    case .storage(let error): error.description
    case .cannotWrite(let path, let reason): "cannot write \(path): \(reason)"
    case .malformed(let location, let expected, let found): "\(location): expected \(expected), found \(found)"
    case .missing(let location, let name): "\(location): \(name) is missing"
    case .unsupported(let location, let expected, let found): "\(location): \(found) is not supported; expected \(expected)"
    case .untrusted(let location, let expected, let found): "\(location): not trusted: expected \(expected), found \(found)"
    }
  }
}
