// SPDX-License-Identifier: Apache-2.0

/// Multiplies a vector of a linear map element by element.
package struct ScaleDelta: Sendable, Equatable {
  package enum Place: Sendable, Equatable {
    /// x, before W and only for it: W <- W diag(factors).
    case input
    /// W x alone: W <- diag(factors) W; neither what is added nor the bias (DoRA, BOFT).
    case product
    /// The whole output, bias included (IA3, SSF).
    case output
  }

  /// What several of them, or one with a weight w, mean together.
  package enum Combination: Sendable, Equatable {
    /// As the mixture says: the product of 1 + w (f - 1) (IA3's default), or 1 + sum of w (f - 1).
    case requested
    /// Always 1 + sum of w (f - 1): the family's deltas are additive (DoRA).
    case sum
  }

  package let place: Place
  /// [in] for `input`, else [out].
  package let factors: [Float]
  /// Added after the factor, [out]; for `output` only (SSF).
  package let shift: [Float]?
  package let combination: Combination

  package init(
    _ place: Place, _ factors: [Float], shift: [Float]? = nil, combination: Combination = .requested
  ) throws(DeltaError) {
    guard !factors.isEmpty, factors.allSatisfy(\.isFinite) else {
      throw .malformed(factor: "factors", expected: "finite numbers", found: "\(factors.count) with others")
    }
    guard shift == nil || (place == .output && shift?.count == factors.count) else {
      throw .malformed(factor: "shift", expected: "\(factors.count) numbers of an output", found: "\(shift?.count ?? 0)")
    }
    self.place = place
    self.factors = factors
    self.shift = shift
    self.combination = combination
  }

  /// The factors of some outputs; for `input`, all.
  package func rows(_ range: Range<Int>) throws(DeltaError) -> ScaleDelta {
    if place == .input { return self }
    return try ScaleDelta(place, Array(factors[range]), shift: shift.map { Array($0[range]) }, combination: combination)
  }
}
