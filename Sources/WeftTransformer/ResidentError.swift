// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftTensors

/// An adapter that cannot be made resident on its base.
package enum ResidentError: Error, Equatable, Sendable, CustomStringConvertible {
  case storage(StorageError)
  case delta(DeltaError)
  /// An operator at a place where only low rank runs: the experts of a sparse layer.
  case unsupportedPlace(WeightSite, operator: String)
  /// Gated experts beside other low-rank operators of one weight.
  case severalGates

  package var description: String {
    switch self {
    case .storage(let error): error.description
    case .delta(let error): error.description
    case .unsupportedPlace(let site, let name):
      "\(site): expected low-rank operators, found \(name), which does not run in experts"
    case .severalGates: "gated experts: expected no other low-rank operator of the same weight beside them, found some"
    }
  }
}

extension WeightSite {
  /// Whether its maps run in the phases of the experts.
  var runsOnlyLowRank: Bool {
    switch self {
    case .expert: true
    case .layer(_, let projection): [.sharedGate, .sharedUp, .sharedDown].contains(projection)
    case .outputHead: false
    }
  }
}
