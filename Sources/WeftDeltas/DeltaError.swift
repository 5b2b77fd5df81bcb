// SPDX-License-Identifier: Apache-2.0

/// Tensors that do not make up a delta.
package enum DeltaError: Error, Equatable, Sendable, CustomStringConvertible {
  /// `factor` is the operator's own word for the tensor or number: `a`, `b`, `scale`.
  case malformed(factor: String, expected: String, found: String)

  /// A change that depends on the token cannot become part of a weight.
  case notFusable(operator: String)

  package var description: String {
    switch self {
    case .malformed(let factor, let expected, let found): "\(factor): expected \(expected), found \(found)"
    case .notFusable(let name): "\(name): expected an operator that is the same for every token; it cannot be fused"
    }
  }
}
