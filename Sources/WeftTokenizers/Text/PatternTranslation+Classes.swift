// SPDX-License-Identifier: Apache-2.0

/// Character classes. Oniguruma nests and intersects them (`[\p{L}&&[^\p{Han}]]`), which PCRE2 10.42 does not: such a class becomes
/// alternatives, with the operands of an intersection as looks ahead at the same character.
extension PatternTranslation {
  /// One class, as a PCRE2 expression that matches one character. Its `[` has been read.
  mutating func characterClass(depth: Int = 0) throws(TokenizerError) -> String {
    guard depth < 16 else { throw refused("a class nested this deep") }
    let isNegated = rest.first == "^"
    if isNegated { rest.removeFirst() }
    var operands: [String] = []
    // The union that is being read: characters, and nested classes.
    var items = ""
    var nested: [String] = []
    if rest.first == "]" {
      rest.removeFirst()
      items += "\\]"
    }
    while let scalar = rest.popFirst() {
      switch scalar {
      case "]":
        if operands.isEmpty, nested.isEmpty { return "[\(isNegated ? "^" : "")\(items)]" }
        operands.append(try Self.union(items, nested, self))
        let last = operands.removeLast()
        let matched = operands.map { "(?=\($0))" }.joined() + last
        return isNegated ? "(?:(?!\(matched))[\\x{0}-\\x{10ffff}])" : "(?:\(matched))"
      case "\\": items += try escaped(inClass: true)
      case "[":
        guard rest.first != ":" else { throw refused("a POSIX bracket in a class") }
        nested.append(try characterClass(depth: depth + 1))
      case "&" where rest.first == "&":
        rest.removeFirst()
        operands.append(try Self.union(items, nested, self))
        (items, nested) = ("", [])
      default: items.unicodeScalars.append(scalar)
      }
    }
    throw .malformed(location: location, expected: "a regular expression", found: "\"\(source)\" (a class without its end)")
  }

  private static func union(
    _ items: String, _ nested: [String], _ translation: PatternTranslation
  ) throws(TokenizerError) -> String {
    let parts = (items.isEmpty ? [] : ["[\(items)]"]) + nested
    guard !parts.isEmpty else { throw translation.refused("an empty class") }
    return parts.count == 1 ? parts[0] : "(?:\(parts.joined(separator: "|")))"
  }
}
