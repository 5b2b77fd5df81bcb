// SPDX-License-Identifier: Apache-2.0

/// The adapters that are active together, each with its weight: y = W x + sum of weight * delta(x).
///
/// A value in canonical form: parts are sorted by name and no name occurs twice, so that equal mixtures are equal,
/// whoever wrote them in whatever order. A weight of zero is kept: the caller named the adapter.
package struct Mixture: Hashable, Sendable {
  /// One active adapter.
  package struct Part: Hashable, Sendable {
    package let adapter: String
    package let weight: Float

    package init(adapter: String, weight: Float) {
      self.adapter = adapter
      self.weight = weight
    }
  }

  /// Sorted by name.
  package let parts: [Part]

  /// No adapter: the base alone.
  package static let base = Mixture(sorted: [])

  private init(sorted parts: [Part]) { self.parts = parts }

  /// Sorts and checks the parts. Throws for a name that adapters cannot have, a name that occurs twice, and a weight that is
  /// infinite or not a number.
  package init(_ parts: [Part]) throws(MixtureError) {
    for part in parts {
      guard Mixture.isName(part.adapter) else { throw .invalidName(part.adapter) }
      guard part.weight.isFinite else { throw .invalidWeight(adapter: part.adapter, found: "\(part.weight)") }
    }
    let sorted = parts.sorted { $0.adapter < $1.adapter }
    for (one, next) in zip(sorted, sorted.dropFirst()) where one.adapter == next.adapter {
      throw .duplicate(one.adapter)
    }
    self.init(sorted: sorted)
  }

  /// Whether an adapter may have this name: ASCII letters, digits, `.`, `_` and `-`, at least one, and not `base`, which is
  /// the text of the mixture without adapters.
  package static func isName(_ text: String) -> Bool {
    !text.isEmpty && text != baseText
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }

  static let baseText = "base"
}

/// Parts that do not make up a mixture.
package enum MixtureError: Error, Equatable, Sendable, CustomStringConvertible {
  case invalidName(String)
  case invalidWeight(adapter: String, found: String)
  case duplicate(String)

  package var description: String {
    switch self {
    case .invalidName(let name):
      "mixture: expected an adapter name of letters, digits, '.', '_' and '-' (not 'base'), found '\(name)'"
    case .invalidWeight(let adapter, let found):
      "mixture: expected a finite number as the weight of '\(adapter)', found '\(found)'"
    case .duplicate(let name): "mixture: expected every adapter once, found '\(name)' twice"
    }
  }
}
