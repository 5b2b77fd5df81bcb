// SPDX-License-Identifier: Apache-2.0

/// Reads GBNF, the notation of llama.cpp (grammars/README.md there):
///
///     root   ::= "(" number (", " number)* ")"   # a comment
///     number ::= "-"? [0-9]{1,3} | [^a-z\x00-\x1F] | .
///
/// A rule ends with its line, except inside parentheses, behind `|` and `::=`, and where the next line begins with `|`.
/// References to tokens (`<[123]>`) are refused: a grammar describes text.
struct GBNFParser {
  private let scalars: [Unicode.Scalar]
  private var index = 0
  private var place = SourcePlace(line: 1, column: 1)
  private var rules: [GrammarRules.Rule?] = []
  private var indices: [String: Int] = [:]
  /// Where a rule was first named, for those that are never defined.
  private var references: [(name: String, place: SourcePlace)] = []
  private var depth = 0

  /// Groups inside groups at most.
  private static let maximumDepth = 100
  private static let maximumRules = 10_000
  /// The largest number of a repetition.
  static let maximumCount = 1_000_000

  static func parse(_ text: String) throws(GrammarError) -> GrammarRules {
    var parser = GBNFParser(scalars: Array(text.unicodeScalars))
    return try parser.grammar()
  }

  private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

  // MARK: - Rules

  private mutating func grammar() throws(GrammarError) -> GrammarRules {
    skipBlanks(newlines: true)
    while index < scalars.count {
      try rule()
      guard rules.count <= GBNFParser.maximumRules else {
        throw error("at most \(GBNFParser.maximumRules) rules", "more")
      }
    }
    guard !rules.isEmpty else { throw error("a rule 'root ::= ...'", "an empty grammar") }
    for (rule, reference) in zip(rules, references) where rule == nil {
      throw .malformed(reference.place, expected: "a rule named '\(reference.name)'", found: "none")
    }
    guard let root = indices["root"] else {
      throw .malformed(SourcePlace(line: 1, column: 1), expected: "a rule named 'root', where a text begins", found: "none")
    }
    return GrammarRules(rules: rules.compactMap { $0 }, root: root)
  }

  private mutating func rule() throws(GrammarError) {
    let start = place
    let name = try self.name()
    let number = ruleIndex(name, start)
    skipBlanks()
    guard take("::=") else { throw unexpected("'::=' behind the name '\(name)'") }
    skipBlanks(newlines: true)
    let body = try choice(nested: false)
    if let earlier = rules[number] {
      throw .malformed(start, expected: "one rule named '\(name)'", found: "a second one; the first is at \(earlier.place)")
    }
    rules[number] = GrammarRules.Rule(name: name, place: start, body: body)
    guard index == scalars.count || isNewline else { throw unexpected("the end of the line, or more of rule '\(name)'") }
    skipBlanks(newlines: true)
  }

  private mutating func name() throws(GrammarError) -> String {
    var name = ""
    while let scalar = peek, GBNFParser.isWord(scalar) {
      name.unicodeScalars.append(scalar)
      advance()
    }
    guard !name.isEmpty else { throw unexpected("the name of a rule") }
    return name
  }

  private mutating func ruleIndex(_ name: String, _ place: SourcePlace) -> Int {
    if let known = indices[name] { return known }
    indices[name] = rules.count
    rules.append(nil)
    references.append((name, place))
    return rules.count - 1
  }

  // MARK: - Expressions

  private mutating func choice(nested: Bool) throws(GrammarError) -> GrammarRules.Expression {
    var alternatives = [try sequence(nested: nested)]
    while takeBar(nested: nested) {
      skipBlanks(newlines: true)
      alternatives.append(try sequence(nested: nested))
    }
    return alternatives.count == 1 ? alternatives[0] : .choice(alternatives)
  }

  /// Takes `|`, also from the beginning of a following line.
  private mutating func takeBar(nested: Bool) -> Bool {
    if take("|") { return true }
    guard !nested, isNewline else { return false }
    let (oldIndex, oldPlace) = (index, place)
    skipBlanks(newlines: true)
    if take("|") { return true }
    (index, place) = (oldIndex, oldPlace)
    return false
  }

  private mutating func sequence(nested: Bool) throws(GrammarError) -> GrammarRules.Expression {
    var parts: [GrammarRules.Expression] = []
    while let scalar = peek {
      let start = place
      var part: GrammarRules.Expression
      switch scalar {
      case "\"": part = .literal(try literal())
      case "[": part = .character(try characterClass())
      case ".":
        advance()
        part = .character(.all)
      case "(":
        depth += 1
        guard depth <= GBNFParser.maximumDepth else {
          throw error("groups at most \(GBNFParser.maximumDepth) deep", "a deeper one")
        }
        advance()
        skipBlanks(newlines: true)
        part = try choice(nested: true)
        guard take(")") else { throw unexpected("')' for the '(' at \(start)") }
        depth -= 1
      case "<", "!": throw error("text", "'\(scalar)': references to tokens are not supported")
      default:
        guard GBNFParser.isWord(scalar) else { return .sequence(parts) }
        let name = try self.name()
        part = .rule(ruleIndex(name, start), start)
      }
      skipBlanks(newlines: nested)
      if let (minimum, maximum, found) = try repetition() {
        part = .repetition(part, minimum: minimum, maximum: maximum, found)
        skipBlanks(newlines: nested)
      }
      parts.append(part)
    }
    return .sequence(parts)
  }

  private mutating func repetition() throws(GrammarError) -> (minimum: Int, maximum: Int?, SourcePlace)? {
    let start = place
    if take("*") { return (0, nil, start) }
    if take("+") { return (1, nil, start) }
    if take("?") { return (0, 1, start) }
    guard take("{") else { return nil }
    skipBlanks()
    let minimum = try count()
    var maximum: Int? = minimum
    skipBlanks()
    if take(",") {
      skipBlanks()
      maximum = peek == "}" ? nil : try count()
      skipBlanks()
    }
    guard take("}") else { throw unexpected("'}' for the '{' at \(start)") }
    if let maximum, maximum < minimum {
      throw .malformed(start, expected: "a repetition from less to more", found: "{\(minimum),\(maximum)}")
    }
    return (minimum, maximum, start)
  }

  private mutating func count() throws(GrammarError) -> Int {
    let start = place
    var value = 0
    var digits = 0
    while let scalar = peek, ("0"..."9").contains(scalar) {
      value = value * 10 + Int(scalar.value - 48)
      digits += 1
      advance()
      guard value <= GBNFParser.maximumCount else {
        throw .malformed(start, expected: "a count of at most \(GBNFParser.maximumCount)", found: "a larger one")
      }
    }
    guard digits > 0 else { throw unexpected("a count") }
    return value
  }

  // MARK: - Characters

  private mutating func literal() throws(GrammarError) -> [UInt8] {
    let start = place
    advance()
    var text = String.UnicodeScalarView()
    while let scalar = peek, scalar != "\"" {
      guard !isNewline else { break }
      let place = self.place
      guard let character = Unicode.Scalar(try self.character()) else {
        throw .malformed(place, expected: "a character", found: "half of a surrogate pair")
      }
      text.append(character)
    }
    guard take("\"") else { throw .malformed(start, expected: "'\"' at the end of the text", found: "none on this line") }
    return Array(String(text).utf8)
  }

  private mutating func characterClass() throws(GrammarError) -> CharacterSet {
    let start = place
    advance()
    let isInverted = take("^")
    var ranges: [ClosedRange<UInt32>] = []
    while let scalar = peek, scalar != "]" {
      guard !isNewline else { break }
      let place = self.place
      let low = try character()
      var high = low
      if peek == "-", index + 1 < scalars.count, scalars[index + 1] != "]" {
        advance()
        guard index < scalars.count, !isNewline else { break }
        high = try character()
      }
      guard low <= high else {
        throw .malformed(place, expected: "a range from a smaller to a larger character", found: "the reverse")
      }
      ranges.append(low...high)
    }
    guard take("]") else { throw .malformed(start, expected: "']' at the end of the characters", found: "none on this line") }
    let set = isInverted ? CharacterSet(ranges).inverted : CharacterSet(ranges)
    guard !set.isEmpty else { throw .malformed(start, expected: "at least one character in the brackets", found: "none") }
    return set
  }

  /// One character or escape, as its code point: classes may name surrogates as ends of ranges.
  private mutating func character() throws(GrammarError) -> UInt32 {
    let start = place
    guard let scalar = peek else { throw unexpected("a character") }
    advance()
    guard scalar == "\\" else { return scalar.value }
    guard let escape = peek else { throw unexpected("a character behind '\\'") }
    advance()
    switch escape {
    case "n": return 0x0A
    case "r": return 0x0D
    case "t": return 0x09
    case "\\", "\"", "[", "]", "-", "^": return escape.value
    case "x": return try hexadecimal(2, start)
    case "u": return try hexadecimal(4, start)
    case "U": return try hexadecimal(8, start)
    default:
      throw .malformed(start, expected: #"one of \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH"#, found: "\\\(escape)")
    }
  }

  private mutating func hexadecimal(_ digits: Int, _ start: SourcePlace) throws(GrammarError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let scalar = peek, let digit = Character(scalar).hexDigitValue, scalar.isASCII else {
        throw .malformed(start, expected: "\(digits) hexadecimal digits", found: "fewer")
      }
      value = value << 4 | UInt32(digit)
      advance()
    }
    guard value <= 0x10FFFF else { throw .malformed(start, expected: "a code point up to 10FFFF", found: "a larger one") }
    return value
  }

  // MARK: - Text

  private var peek: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }
  private var isNewline: Bool { peek == "\n" || peek == "\r" }

  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
    default: false
    }
  }

  private mutating func advance() {
    if scalars[index] == "\n" {
      place = SourcePlace(line: place.line + 1, column: 1)
    } else {
      place.column += 1
    }
    index += 1
  }

  private mutating func take(_ text: String) -> Bool {
    guard scalars[index...].starts(with: text.unicodeScalars) else { return false }
    for _ in text.unicodeScalars { advance() }
    return true
  }

  /// Blanks and comments.
  private mutating func skipBlanks(newlines: Bool = false) {
    while let scalar = peek {
      if scalar == "#" {
        while index < scalars.count, !isNewline { advance() }
      } else if scalar == " " || scalar == "\t" || (newlines && isNewline) {
        advance()
      } else {
        return
      }
    }
  }

  private func error(_ expected: String, _ found: String) -> GrammarError {
    .malformed(place, expected: expected, found: found)
  }

  private func unexpected(_ expected: String) -> GrammarError {
    guard let scalar = peek else { return error(expected, "the end of the grammar") }
    return error(expected, isNewline ? "the end of the line" : "'\(scalar)'")
  }
}
