// SPDX-License-Identifier: Apache-2.0

/// A vector [out] that is added to the bias of a linear map, or takes its place.
package struct BiasDelta: Sendable, Equatable {
  package let values: [Float]
  /// A replacement has no weight in a mixture: there is one, and it acts fully.
  package let isReplacement: Bool

  package init(_ values: [Float], isReplacement: Bool = false) throws(DeltaError) {
    guard !values.isEmpty, values.allSatisfy(\.isFinite) else {
      throw .malformed(factor: "bias", expected: "finite numbers", found: "\(values.count) with others")
    }
    self.values = values
    self.isReplacement = isReplacement
  }
}
