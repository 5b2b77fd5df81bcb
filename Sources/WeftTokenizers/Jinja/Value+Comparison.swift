// SPDX-License-Identifier: Apache-2.0

extension Jinja.Value {
  /// `==`. Strings compare by code points, never by Unicode's canonical equivalence.
  func equals(_ other: Jinja.Value, dialect: Jinja.Dialect) -> Bool {
    switch (self, other) {
    case (.undefined, .undefined), (.none, .none): return true
    case (.string(let left), .string(let right)): return left.utf8.elementsEqual(right.utf8)
    case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
      guard left.elements.count == right.elements.count else { return false }
      return zip(left.elements, right.elements).allSatisfy { $0.equals($1, dialect: dialect) }
    case (.dictionary(let left), .dictionary(let right)):
      guard left.entries.count == right.entries.count else { return false }
      return left.entries.allSatisfy { entry in right[entry.key].map { $0.equals(entry.value, dialect: dialect) } ?? false }
    case (.function(let left), .function(let right)): return left == right
    case (.namespace(let left), .namespace(let right)), (.macro(let left), .macro(let right)),
      (.loop(let left), .loop(let right)):
      return left == right
    case (.bool(let left), .bool(let right)): return left == right
    case (.bool, _) where dialect == .huggingfaceJS, (_, .bool) where dialect == .huggingfaceJS: return false
    default:
      guard let left = number, let right = other.number else { return false }
      if case .integer(let left) = left, case .integer(let right) = right { return left == right }
      return left.double == right.double
    }
  }

  /// Whether this sorts before `other`; nil when Python has no order between the two.
  func precedes(_ other: Jinja.Value) -> Bool? {
    if case .string(let left) = self, case .string(let right) = other {
      return left.utf8.lexicographicallyPrecedes(right.utf8)
    }
    switch (self, other) {
    case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
      for (first, second) in zip(left.elements, right.elements) where !first.equals(second, dialect: .transformers) {
        return first.precedes(second)
      }
      return left.elements.count < right.elements.count
    default:
      guard let left = number, let right = other.number else { return nil }
      if case .integer(let left) = left, case .integer(let right) = right { return left < right }
      return left.double < right.double
    }
  }
}
