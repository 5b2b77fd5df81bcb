// SPDX-License-Identifier: Apache-2.0

/// Adapters that do not go together.
package enum MixingError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Both have something of which there is one.
  case conflict(adapters: [String], kind: MixingProfile.Kind, place: String)
  /// Something that acts fully or not at all has a weight.
  case weight(adapter: String, kind: MixingProfile.Kind, place: String, found: Float)

  package var description: String {
    switch self {
    case .conflict(let adapters, let kind, let place):
      "'\(adapters.joined(separator: "' and '"))' cannot be mixed: each has \(kind.name) for \(place), expected one at most"
        + (kind.isOrdered ? ", or a stack that says which acts first, as in '\(adapters.joined(separator: ">"))'" : "")
        + "; give them different layers or leave one out"
    case .weight(let adapter, let kind, let place, let found):
      "'\(adapter)' has \(kind.name) for \(place), which acts fully or not at all: expected weight 1 there, found \(found)"
    }
  }
}
