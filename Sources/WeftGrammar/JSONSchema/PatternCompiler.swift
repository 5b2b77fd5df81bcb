// SPDX-License-Identifier: Apache-2.0

/// From a regular expression of a JSON schema (`pattern`) to GBNF.
///
/// Supported: characters, `.`, classes in brackets, `\d \w \s` and their opposites, `\n \r \t \f \v \0 \xHH \uHHHH`, escaped
/// punctuation, groups `( )` and `(?: )`, `|`, `* + ? {m} {m,} {m,n}` (and lazy forms, which mean the same here), `^` at the
/// beginning and `$` at the end of the pattern or of an alternative at its top. Where an alternative has no anchor, any text
/// may come before or behind. Everything else (lookaround, references, `\b`, `\p`, flags) is refused by name.
///
/// The opposites of `\d`, `\w` and `\s`, and negated brackets with one of these, mean ASCII characters only: what they mean
/// beyond is not the same in all validators. Characters that JSON has to escape are written as escapes.
struct PatternCompiler {
  private let scalars: [Unicode.Scalar]
  private let place: LocatedSchema
  private var index = 0
  private var depth = 0

  private static let maximumDepth = 50

  /// The GBNF expression of the strings, without their quotes, that a pattern finds something in.
  static func compile(_ pattern: String, _ place: LocatedSchema) throws(GrammarError) -> String {
    var compiler = PatternCompiler(scalars: Array(pattern.unicodeScalars), place: place)
    var alternatives: [String] = []
    repeat {
      let isAnchored = compiler.take("^")
      let body = try compiler.sequence()
      let isEnded = compiler.take("$")
      alternatives.append((isAnchored ? "" : "char* ") + (body.isEmpty ? "\"\"" : body) + (isEnded ? "" : " char*"))
    } while compiler.take("|")
    guard let left = compiler.peek else { return "(" + alternatives.joined(separator: " | ") + ")" }
    throw compiler.unsupported("'\(left)' at character \(compiler.index + 1)")
  }

  private init(scalars: [Unicode.Scalar], place: LocatedSchema) {
    self.scalars = scalars
    self.place = place
  }

  // MARK: - Expressions

  private mutating func sequence() throws(GrammarError) -> String {
    var parts: [String] = []
    while let scalar = peek, scalar != "|", scalar != ")", scalar != "$" {
      var part = try atom(scalar)
      if let count = try repetition() { part += count }
      parts.append(part)
    }
    return parts.joined(separator: " ")
  }

  private mutating func atom(_ scalar: Unicode.Scalar) throws(GrammarError) -> String {
    switch scalar {
    case "(":
      index += 1
      if take("?"), !take(":") { throw unsupported("the group '(?\(peek.map(String.init) ?? "")'") }
      depth += 1
      guard depth <= PatternCompiler.maximumDepth else {
        throw unsupported("more than \(PatternCompiler.maximumDepth) nested groups")
      }
      defer { depth -= 1 }
      var parts: [String] = []
      repeat {
        let part = try sequence()
        parts.append(part.isEmpty ? "\"\"" : part)
      } while take("|")
      guard take(")") else { throw unsupported(peek == "$" ? "'$' inside a group" : "a group without ')'") }
      return "(" + parts.joined(separator: " | ") + ")"
    case "[": return try written(try brackets())
    case ".":
      index += 1
      return try written(CharacterSet([0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029]).inverted)
    case "\\": return try written(try escape().set)
    case "^": throw unsupported("'^' behind the beginning")
    case "*", "+", "?", "{", "}", "]": throw unsupported("'\(scalar)' with nothing before it")
    default:
      index += 1
      return try written(CharacterSet([scalar.value...scalar.value]))
    }
  }

  private mutating func repetition() throws(GrammarError) -> String? {
    let text: String
    switch peek {
    case "*", "+", "?":
      text = peek.map(String.init) ?? ""
      index += 1
    case "{":
      index += 1
      var counts = [try count()]
      if take(",") { counts.append(peek == "}" ? nil : try count()) }
      guard take("}"), let low = counts[0] else { throw unsupported("a repetition other than {m}, {m,} and {m,n}") }
      if counts.count == 2, let high = counts[1], high < low { throw unsupported("a repetition from more to less") }
      text = "{" + counts.map { $0.map(String.init) ?? "" }.joined(separator: ",") + "}"
    default: return nil
    }
    if !take("?"), peek == "+" { throw unsupported("a possessive repetition") }
    return text
  }

  private mutating func count() throws(GrammarError) -> Int? {
    var value: Int?
    while let scalar = peek, ("0"..."9").contains(scalar) {
      value = (value ?? 0) * 10 + Int(scalar.value - 48)
      index += 1
      guard value ?? 0 <= GBNFParser.maximumCount else {
        throw unsupported("a repetition of more than \(GBNFParser.maximumCount)")
      }
    }
    return value
  }

  // MARK: - Characters

  private mutating func brackets() throws(GrammarError) -> CharacterSet {
    index += 1
    let isInverted = take("^")
    var set = CharacterSet([])
    var hasShorthand = false
    while let scalar = peek, scalar != "]" {
      var low: UInt32?
      if scalar == "\\" {
        let (found, single) = try escape(inBrackets: true)
        low = single
        if single == nil { hasShorthand = true }
        set = set.union(found)
      } else {
        index += 1
        low = scalar.value
        set = set.union(CharacterSet([scalar.value...scalar.value]))
      }
      guard let low, peek == "-", index + 1 < scalars.count, scalars[index + 1] != "]" else { continue }
      index += 1
      var high: UInt32? = scalars[index].value
      if scalars[index] == "\\" { high = try escape(inBrackets: true).single } else { index += 1 }
      guard let high, low <= high else { throw unsupported("a range of characters from more to less") }
      set = set.union(CharacterSet([low...high]))
    }
    guard take("]") else { throw unsupported("'[' without ']'") }
    guard isInverted else { return set }
    return hasShorthand ? PatternCompiler.opposite(set) : set.inverted
  }

  private static let digits = CharacterSet([0x30...0x39])
  private static let words = CharacterSet([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
  private static let blanks = CharacterSet([0x09...0x0D, 0x20...0x20])
  private static func opposite(_ set: CharacterSet) -> CharacterSet { set.inverted.intersection(CharacterSet([0x20...0x7E])) }

  /// The characters of an escape; `single` when it is one character.
  private mutating func escape(
    inBrackets: Bool = false
  ) throws(GrammarError) -> (set: CharacterSet, single: UInt32?) {
    index += 1
    guard let scalar = peek else { throw unsupported("'\\' at the end") }
    index += 1
    switch scalar {
    case "d": return (PatternCompiler.digits, nil)
    case "w": return (PatternCompiler.words, nil)
    case "s": return (PatternCompiler.blanks, nil)
    case "D": return (PatternCompiler.opposite(PatternCompiler.digits), nil)
    case "W": return (PatternCompiler.opposite(PatternCompiler.words), nil)
    case "S": return (PatternCompiler.opposite(PatternCompiler.blanks), nil)
    default: break
    }
    let value: UInt32
    switch scalar {
    case "n": value = 0x0A
    case "r": value = 0x0D
    case "t": value = 0x09
    case "f": value = 0x0C
    case "v": value = 0x0B
    case "x": value = try hexadecimal(2)
    case "u": value = try hexadecimal(4)
    default:
      guard scalar.isASCII, !Character(scalar).isLetter, !Character(scalar).isNumber else { throw unsupported("'\\\(scalar)'") }
      value = scalar.value
    }
    return (CharacterSet([value...value]), value)
  }

  private mutating func hexadecimal(_ digits: Int) throws(GrammarError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let scalar = peek, scalar.isASCII, let digit = Character(scalar).hexDigitValue else {
        throw unsupported("an escape with fewer than \(digits) hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      index += 1
    }
    return value
  }

  /// One character of a set, inside a JSON string.
  private func written(_ set: CharacterSet) throws(GrammarError) -> String {
    let plain = CharacterSet([0x00...0x1F, 0x22...0x22, 0x5C...0x5C]).inverted
    var parts: [String] = []
    let direct = set.intersection(plain)
    if !direct.isEmpty { parts.append(GBNFText.characters(direct)) }
    for range in set.intersection(plain.inverted).ranges {
      for value in range { parts.append(GBNFText.literal(PatternCompiler.jsonEscape(value))) }
    }
    guard !parts.isEmpty else { throw unsupported("a set of no characters") }
    return parts.count == 1 ? parts[0] : "(" + parts.joined(separator: " | ") + ")"
  }

  private static func jsonEscape(_ value: UInt32) -> String {
    switch value {
    case 0x22: return "\\\""
    case 0x5C: return "\\\\"
    case 0x0A: return "\\n"
    case 0x0D: return "\\r"
    case 0x09: return "\\t"
    case 0x08: return "\\b"
    case 0x0C: return "\\f"
    default:
      let digits = String(value, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
  }

  // MARK: - Text

  private var peek: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard peek == scalar else { return false }
    index += 1
    return true
  }

  private func unsupported(_ found: String) -> GrammarError {
    place.error("a pattern of characters, classes, groups and repetitions", found)
  }
}
