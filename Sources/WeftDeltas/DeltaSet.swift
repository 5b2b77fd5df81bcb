// SPDX-License-Identifier: Apache-2.0

/// Everything that one adapter, or one merge of adapters, changes in a model: an operator per weight.
package struct DeltaSet: Sendable {
  package let operators: [WeightSite: DeltaOperator]

  package init(_ operators: [WeightSite: DeltaOperator]) { self.operators = operators }

  /// The places that are changed, in the order of the model.
  package var sites: [WeightSite] { operators.keys.sorted() }

  /// Bytes of all tensors, as stored.
  package var byteCount: Int { operators.values.reduce(0) { $0 + $1.byteCount } }

  /// The smallest and the largest rank; nil when nothing is changed.
  package var ranks: ClosedRange<Int>? {
    let ranks = operators.values.map(\.rank)
    guard let least = ranks.min(), let most = ranks.max() else { return nil }
    return least...most
  }
}
