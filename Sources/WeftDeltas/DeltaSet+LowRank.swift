// SPDX-License-Identifier: Apache-2.0

extension DeltaSet {
  /// The same without the operators of low rank: what has to be kept beside packed factors, from which those can be made again.
  package var withoutLowRank: DeltaSet {
    var rest = self
    rest.operators = operators.compactMapValues { list in
      let others = list.filter { if case .lowRank = $0 { false } else { true } }
      return others.isEmpty ? nil : others
    }
    return rest
  }
}
