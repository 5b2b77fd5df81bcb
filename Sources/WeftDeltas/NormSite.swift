// SPDX-License-Identifier: Apache-2.0

/// Where a norm stands in a decoder layer.
package enum NormRole: Int, Hashable, Sendable, CaseIterable {
  case attentionInput, query, key, attentionOutput, feedForwardInput, feedForwardOutput
}

/// A norm of the base: one of a layer, or the last one before the head (no layer).
package enum NormSite: Hashable, Sendable {
  case layer(Int, NormRole)
  case output
}

/// The weights that take the place of a norm's: as a step uses them, with what the architecture adds to them (Gemma: 1).
package struct NormReplacement: Sendable, Equatable {
  /// nil leaves the weight as it is.
  package let weight: [Float]?
  /// nil leaves the bias as it is.
  package let bias: [Float]?

  /// At least one of both.
  package init(weight: [Float]?, bias: [Float]?) throws(DeltaError) {
    let count = (weight ?? bias)?.count ?? 0
    guard count > 0, weight?.allSatisfy(\.isFinite) ?? true, bias?.allSatisfy(\.isFinite) ?? true,
      bias.map({ $0.count == count }) ?? true
    else {
      throw .malformed(factor: "norm", expected: "finite numbers, as many of each", found: "\(count) with others")
    }
    self.weight = weight
    self.bias = bias
  }
}

/// What is added to the weights of a norm, with the adapter's weight in the mixture.
package struct NormSum: Sendable, Equatable {
  package let weight: [Float]
  /// nil, or as many.
  package let bias: [Float]?

  package init(weight: [Float], bias: [Float]?) throws(DeltaError) {
    guard !weight.isEmpty, weight.allSatisfy(\.isFinite), bias?.allSatisfy(\.isFinite) ?? true,
      bias.map({ $0.count == weight.count }) ?? true
    else {
      throw .malformed(factor: "norm", expected: "finite numbers, as many of each", found: "\(weight.count) with others")
    }
    self.weight = weight
    self.bias = bias
  }
}
