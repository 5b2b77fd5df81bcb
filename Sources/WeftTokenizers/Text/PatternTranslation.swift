// SPDX-License-Identifier: Apache-2.0

/// From the regular expressions of tokenizer files (Oniguruma's Ruby syntax) to PCRE2's, where the two disagree.
///
/// `\s` is Unicode's White_Space there (PCRE2's also has U+180E), `\w` has marks and connectors, `\h` is a hexadecimal digit,
/// `\uHHHH` is a code point. What has no translation is refused by name, so that nothing splits differently in silence.
struct PatternTranslation {
  var rest: Substring.UnicodeScalarView
  private var result = ""
  let location: String
  let source: String

  private static let spaces =
    "\\t-\\r\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
  private static let words = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"

  static func translate(_ source: String, location: String) throws(TokenizerError) -> String {
    var translation = PatternTranslation(rest: source[...].unicodeScalars, location: location, source: source)
    try translation.run()
    return translation.result
  }

  private init(rest: Substring.UnicodeScalarView, location: String, source: String) {
    self.rest = rest
    self.location = location
    self.source = source
  }

  private mutating func run() throws(TokenizerError) {
    // Where the last atom begins, and where the groups begin that are open: an interval behind an interval takes it all.
    var atom = result.startIndex
    var groups: [String.Index] = []
    var isAfterInterval = false
    while let scalar = rest.popFirst() {
      let wasAfterInterval = isAfterInterval
      isAfterInterval = false
      switch scalar {
      case "\\":
        atom = result.endIndex
        result += try escaped(inClass: false)
      case "[":
        atom = result.endIndex
        result += try characterClass()
      case "(":
        groups.append(result.endIndex)
        result.unicodeScalars.append(scalar)
        try group()
      case ")":
        atom = groups.popLast() ?? atom
        result.unicodeScalars.append(scalar)
      case "{":
        isAfterInterval = copyInterval()
      case "+" where wasAfterInterval:
        // Ruby repeats the repetition here, PCRE2 would make it possessive.
        result.insert(contentsOf: "(?:", at: atom)
        result += ")+"
      case "*", "?", "+", "|":
        result.unicodeScalars.append(scalar)
      default:
        atom = result.endIndex
        result.unicodeScalars.append(scalar)
      }
    }
  }

  /// Copies `n}`, `n,}`, `,m}` or `n,m}` as an interval; any other brace stands for itself.
  private mutating func copyInterval() -> Bool {
    let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "," }
    let end = digits.endIndex
    guard digits.contains(where: { $0 != "," }), end < rest.endIndex, rest[end] == "}", digits.count(where: { $0 == "," }) < 2
    else {
      result += "\\{"
      return false
    }
    result += digits.first == "," ? "{0" : "{"
    result.unicodeScalars.append(contentsOf: digits)
    result += "}"
    rest = rest[rest.index(after: end)...]
    return true
  }

  private mutating func group() throws(TokenizerError) {
    guard rest.first == "?" else { return }
    let known = ["?:", "?=", "?!", "?>", "?<=", "?<!", "?i:", "?-i:", "?i)", "?-i)"]
    for opening in known where rest.starts(with: opening.unicodeScalars) {
      result += opening
      rest = rest.dropFirst(opening.unicodeScalars.count)
      return
    }
    throw refused("the group \"(\(String(rest.prefix(3)))\"")
  }

  /// The translation of an escape, whose backslash has been read.
  mutating func escaped(inClass: Bool) throws(TokenizerError) -> String {
    let before = result
    result = ""
    defer { result = before }
    try escape(inClass: inClass)
    return result
  }

  private mutating func escape(inClass: Bool) throws(TokenizerError) {
    guard let scalar = rest.popFirst() else {
      throw .malformed(location: location, expected: "a regular expression", found: "\"\(source)\" (it ends in \\)")
    }
    switch scalar {
    case "s": result += inClass ? Self.spaces : "[\(Self.spaces)]"
    case "w": result += inClass ? Self.words : "[\(Self.words)]"
    case "h": result += inClass ? "0-9A-Fa-f" : "[0-9A-Fa-f]"
    case "S" where !inClass: result += "[^\(Self.spaces)]"
    case "W" where !inClass: result += "[^\(Self.words)]"
    case "H" where !inClass: result += "[^0-9A-Fa-f]"
    case "S":
      // The gaps between White_Space's ranges.
      result += "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"
      result += "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}"
    case "u":
      let digits = rest.prefix(4)
      guard digits.count == 4, digits.allSatisfy({ $0.properties.isASCIIHexDigit }) else { throw refused("\"\\u\"") }
      result += "\\x{\(String(digits))}"
      rest = rest.dropFirst(4)
    case "x":
      guard rest.first == "{" || rest.prefix(2).first.map({ $0 < "8" }) == true else { throw refused("a byte as \"\\x\"") }
      result += "\\x"
      try copyBraces()
    case "p", "P":
      result += "\\\(scalar)"
      try property()
    case "d", "D", "t", "n", "r", "f", "v", "a", "e":
      // Ruby's \v is U+000B, PCRE2's is every vertical space.
      result += scalar == "v" ? "\\x{b}" : "\\\(scalar)"
    case "b", "B", "A", "z", "Z", "G":
      guard !inClass else { throw refused("\"\\\(scalar)\" in a class") }
      result += "\\\(scalar)"
    case _ where scalar.properties.isAlphabetic || ("0"..."9").contains(scalar):
      throw refused("\"\\\(scalar)\"")
    default:
      result.unicodeScalars.append("\\")
      result.unicodeScalars.append(scalar)
    }
  }

  /// Copies `{...}` behind `\p`. A script's name means the script there, and the script's extensions to PCRE2.
  private mutating func property() throws(TokenizerError) {
    guard rest.first == "{" else { return }
    let start = result.endIndex
    try copyBraces()
    var name = result[result.index(after: start)...].dropLast()
    if name.first == "^" { name.removeFirst() }
    if UnicodeScripts.contains(name) { result.insert(contentsOf: "sc:", at: name.startIndex) }
  }

  /// Copies `{...}` when there is one.
  private mutating func copyBraces() throws(TokenizerError) {
    guard rest.first == "{" else { return }
    guard let end = rest.firstIndex(of: "}") else {
      throw .malformed(location: location, expected: "a regular expression", found: "\"\(source)\" (a brace without its end)")
    }
    result += String(rest[...end])
    rest = rest[rest.index(after: end)...]
  }

  func refused(_ found: String) -> TokenizerError {
    .unsupported(location: location, expected: "an expression without it", found: "\(found) in \"\(source)\"")
  }
}
