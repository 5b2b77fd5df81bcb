// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftFormats
package import WeftTensors

/// Why nothing was merged. Every case says where, and what was expected and found.
package enum MergeError: Error, Sendable, CustomStringConvertible {
  case adapter(AdapterError)
  case format(FormatError)
  case storage(StorageError)
  case linearAlgebra(LinearAlgebraError)
  /// A method, parameter, task, shape or file that does not fit the others.
  case mismatch(location: String, expected: String, found: String)
  /// A task that this method, or any, cannot merge.
  case notMixable(task: String, reason: String)
  /// Whoever asked for it stopped it.
  case interrupted

  package var description: String {
    switch self {
    case .adapter(let error): error.description
    case .format(let error): error.description
    case .storage(let error): error.description
    case .linearAlgebra(let error): error.description
    case .mismatch(let location, let expected, let found): "\(location): expected \(expected), found \(found)"
    case .notMixable(let task, let reason): "\(task): cannot be merged: \(reason)"
    case .interrupted: "merge: interrupted; nothing was written"
    }
  }
}
