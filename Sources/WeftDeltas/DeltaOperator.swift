// SPDX-License-Identifier: Apache-2.0

/// What an adapter does to one weight W [out, in], in canonical form. Families are resolved into these cases when they are
/// read; only these cases have arithmetic, and every algorithm over them is an exhaustive switch.
package enum DeltaOperator: Sendable {
  /// y += scale * B (A x)
  case lowRank(LowRank)

  /// The shape [out, in] of the weight that this changes.
  package var shape: (out: Int, in: Int) {
    switch self {
    case .lowRank(let factors): (factors.outputSize, factors.inputSize)
    }
  }

  /// The number of directions in which the weight can change.
  package var rank: Int {
    switch self {
    case .lowRank(let factors): factors.rank
    }
  }

  /// Bytes of the tensors, as stored.
  package var byteCount: Int {
    switch self {
    case .lowRank(let factors): factors.byteCount
    }
  }
}
