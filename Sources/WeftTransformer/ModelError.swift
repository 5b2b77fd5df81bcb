// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftFormats
package import WeftTensors

/// A model cannot be opened, or a step cannot be run. Every case says where, and what was expected and found.
package enum ModelError: Error, Equatable, Sendable, CustomStringConvertible {
  case format(FormatError)
  case storage(StorageError)
  /// A field of the configuration has a value that no model can have, or that contradicts another.
  case invalidConfig(location: String, field: String, expected: String, found: String)
  /// A value of the configuration, or a tensor type, that Weft does not compute.
  case unsupported(location: String, field: String, expected: String, found: String)
  case missingTensor(location: String, name: String)
  case unusedTensor(location: String, name: String, architecture: String)
  case shapeMismatch(location: String, tensor: String, expected: [Int], found: [Int])
  case notFinite(location: String, tensor: String, index: Int)
  /// Fusing needs float storage: a delta added into a quantised weight vanishes in the rounding.
  case fuseNeedsFloat(tensor: String, found: String)
  /// A part of an adapter that cannot become part of the weights.
  case notFusable(String)
  case delta(WeightSite, DeltaError)

  package var description: String {
    switch self {
    case .format(let error): error.description
    case .storage(let error): error.description
    case .invalidConfig(let location, let field, let expected, let found):
      "\(location): \(field): expected \(expected), found \(found)"
    case .unsupported(let location, let field, let expected, let found):
      "\(location): \(field): \(found) is not supported; expected \(expected)"
    case .missingTensor(let location, let name): "\(location): tensor \(name) is missing"
    case .unusedTensor(let location, let name, let architecture):
      "\(location): tensor \(name) belongs to no part of a \(architecture) model; nothing is ignored silently"
    case .shapeMismatch(let location, let tensor, let expected, let found):
      "\(location): tensor \(tensor): expected shape \(expected), found \(found)"
    case .notFinite(let location, let tensor, let index):
      "\(location): tensor \(tensor): expected finite values, found NaN or infinity at element \(index)"
    case .fuseNeedsFloat(let tensor, let found):
      "fuse: expected a base with F32, F16 or BF16 weights, found \(found) in \(tensor)"
    case .notFusable(let part):
      "fuse: expected operators that become part of the weights, found \(part); activate it beside them"
    case .delta(let site, let error): "fuse: \(site): \(error)"
    }
  }
}
