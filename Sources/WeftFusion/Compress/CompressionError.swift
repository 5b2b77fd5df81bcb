// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftFormats
package import WeftTensors

/// Why nothing was compressed. Every case says where, and what was expected and found.
package enum CompressionError: Error, Sendable, CustomStringConvertible {
  case adapter(AdapterError)
  case format(FormatError)
  case storage(StorageError)
  case linearAlgebra(LinearAlgebraError)
  /// A method, parameter, module or file that does not fit the others.
  case mismatch(location: String, expected: String, found: String)
  /// An adapter that is more than changes of linear maps.
  case notCompressible(adapter: String, reason: String)

  package var description: String {
    switch self {
    case .adapter(let error): error.description
    case .format(let error): error.description
    case .storage(let error): error.description
    case .linearAlgebra(let error): error.description
    case .mismatch(let location, let expected, let found): "\(location): expected \(expected), found \(found)"
    case .notCompressible(let adapter, let reason): "\(adapter): cannot be compressed: \(reason)"
    }
  }
}
