// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftGrammar

/// Grammars, and the texts that they allow.
struct GrammarTests {
  /// Whether a grammar allows a text, and whether the text is complete.
  private func read(_ gbnf: String, _ text: some Sequence<UInt8>) throws -> (allowed: Bool, complete: Bool) {
    let matcher = try GrammarMatcher(try Grammar(gbnf: gbnf))
    for byte in text where try !matcher.accept([byte]) { return (false, false) }
    return (true, matcher.accepts(matcher.current))
  }

  private func accepts(_ gbnf: String, _ text: String) throws -> Bool { try read(gbnf, text.utf8).complete }

  @Test(arguments: [
    ("root ::= \"a\"", ["a"], ["", "b", "aa"]),
    ("root ::= \"\"", [""], ["a"]),
    ("root ::=", [""], ["a"]),
    ("root ::= \"ab\" | \"c\" d\nd ::= \"d\"", ["ab", "cd"], ["abd", "c", "d"]),
    ("root ::= [a-c]+", ["a", "cba"], ["", "d"]),
    ("root ::= [^a-c]", ["d", "é", "😀", "\u{0}"], ["a", "dd"]),
    ("root ::= [a\\-z\\]\\[\\^]", ["a", "-", "z", "]", "[", "^"], ["b", "\\"]),
    ("root ::= [-a] [a-]", ["-a", "a-"], ["b-"]),
    ("root ::= \"x\"*", ["", "xxx"], ["y"]),
    ("root ::= \"xy\"*", ["", "xyxy"], ["xyx"]),
    ("root ::= \"x\"? \"y\"", ["y", "xy"], ["x", "xxy"]),
    ("root ::= [0-9]{2}", ["12"], ["1", "123"]),
    ("root ::= [0-9]{2,}", ["12", "12345"], ["1"]),
    ("root ::= [0-9]{ 2 , 3 }", ["12", "123"], ["1", "1234"]),
    ("root ::= (\"ab\" | \"c\"){0,2} \"!\"", ["!", "ab!", "cab!"], ["ccc!"]),
    ("root ::= \"x\"{0} \"y\"", ["y"], ["xy"]),
    ("root ::= \"\\x41\\u00e9\\U0001F600\\t\\\"\\\\\"", ["Aé😀\t\"\\"], ["A"]),
    ("root ::= [\\u00e0-\\u00ff]{2}", ["éà"], ["aé", "Ā"]),
    ("root ::= .", ["a", "é", "\n", "😀"], ["", "ab"]),
    ("root ::= (\n  \"a\" # first\n  | \"b\"\n)\n\n# end", ["a", "b"], ["#"]),
    ("root ::= \"a\" |\n \"b\"", ["a", "b"], []),
    ("root ::= \"a\"\n  | \"b\"\n  | x\nx ::= \"c\"", ["a", "b", "c"], []),
    ("root ::=\n \"a\"\r\n", ["a"], []),
    ("root ::= \"(\" root \")\" | \"x\"", ["x", "((x))"], ["((x)", "()"]),
    // What is repeated may be empty, and rules may call themselves at their end.
    ("root ::= (\"a\"?)* \"b\"", ["b", "aab"], ["aa"]),
    ("root ::= (\"a\"* \"c\"?){3} \"b\"", ["b", "aacab", "cccb"], ["cccc"]),
    ("root ::= \"a\" root | \"\"", ["", "aaaa"], ["b"]),
    ("my_rule-2 ::= \"x\"\nroot ::= my_rule-2", ["x"], []),
  ])
  func texts(grammar: String, allowed: [String], refused: [String]) throws {
    for text in allowed { #expect(try accepts(grammar, text), "\(grammar): \(text)") }
    for text in refused { #expect(try !accepts(grammar, text), "\(grammar): \(text)") }
  }

  /// Left recursion, names without rules and the like, with the place and a part of the message.
  @Test(arguments: [
    ("", 1, 1, "empty grammar"),
    ("# nothing\n", 2, 1, "empty grammar"),
    ("a ::= \"x\"", 1, 1, "'root'"),
    ("root ::= a\n", 1, 10, "a rule named 'a'"),
    ("root ::= \"x\"\nroot ::= \"y\"", 2, 1, "a second one"),
    ("root = \"x\"", 1, 6, "'::='"),
    ("root ::= \"x", 1, 10, "'\"' at the end"),
    ("root ::= [a", 1, 10, "']'"),
    ("root ::= []", 1, 10, "at least one character"),
    ("root ::= [^\\x00-\\U0010FFFF]", 1, 10, "at least one character"),
    ("root ::= [z-a]", 1, 11, "range"),
    ("root ::= [\\uD800-\\uDFFF]", 1, 10, "at least one character"),
    ("root ::= \"\\ud800\"", 1, 11, "surrogate"),
    ("root ::= \"\\q\"", 1, 11, "\\q"),
    ("root ::= \"\\x4\"", 1, 11, "2 hexadecimal digits"),
    ("root ::= \"\\U00110000\"", 1, 11, "10FFFF"),
    ("root ::= (\"a\"", 1, 14, "')' for the '('"),
    ("root ::= \"a\" )", 1, 14, "end of the line"),
    ("root ::= \"a\"{2,1}", 1, 13, "{2,1}"),
    ("root ::= \"a\"{,1}", 1, 14, "a count"),
    ("root ::= \"a\"{1000001}", 1, 14, "1000000"),
    ("root ::= \"a\"**", 1, 14, "end of the line"),
    ("root ::= * \"a\"", 1, 10, "end of the line"),
    ("root ::= <think>", 1, 10, "tokens"),
    ("root ::= root \"a\" | \"b\"", 1, 10, "left recursion"),
    ("root ::= a\na ::= \"\" b\nb ::= \"x\"? root \"y\" | \"z\"", 3, 12, "left recursion"),
    ("root ::= (root)* \"b\"", 1, 11, "left recursion"),
    ("root ::= root \"x\"", 1, 10, "left recursion"),
    ("root ::= \"a\" root", 1, 1, "can end"),
    ("root ::= \"a\" | b\nb ::= \"x\" c\nc ::= \"y\" b", 2, 1, "can end"),
    ("root ::= ((([a-z]{1000}){1000}){1000}){1000} [0-9]{1000000}", 1, 51, "524288 states"),
    ("root ::= \"abc\"{500000} \"d\"{500000}", 1, 15, "524288 states"),
  ])
  func refusals(grammar: String, line: Int, column: Int, part: String) {
    let error = #expect(throws: GrammarError.self) { try Grammar(gbnf: grammar) }
    guard case .malformed(let place, _, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(place == SourcePlace(line: line, column: column), "\(error?.description ?? "")")
    #expect(error?.description.contains(part) == true, "\(error?.description ?? "")")
  }

  @Test func deepGroupsAreRefused() {
    let text = "root ::= " + String(repeating: "(", count: 5000) + "\"a\"" + String(repeating: ")", count: 5000)
    #expect(throws: GrammarError.self) { try Grammar(gbnf: text) }
  }

  /// Every byte of a text is refused unless it can begin or continue a character of UTF-8 that the grammar allows.
  @Test func charactersAreCutIntoBytes() throws {
    let any = "root ::= .{2}"
    #expect(try read(any, [0xF0, 0x9F]).allowed && !read(any, [0xF0, 0x9F]).complete)
    for bytes in [
      [0x80], [0xC0], [0xC1], [0xF5], [0xFF], [0xE0, 0x80], [0xED, 0xA0], [0xF0, 0x80], [0xF4, 0x90], [0xC3, 0x41],
    ] as [[UInt8]] {
      #expect(try !read(any, bytes).allowed, "\(bytes)")
    }
    // Each character of a range, and its neighbours.
    let range = "root ::= [\\u07FE-\\u0801\\uFFFE-\\U00010001]"
    for value: UInt32 in [0x7FD, 0x7FE, 0x7FF, 0x800, 0x801, 0x802, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x10001, 0x10002] {
      let scalar = try #require(Unicode.Scalar(value))
      let isInside = (0x7FE...0x801).contains(value) || (0xFFFE...0x10001).contains(value)
      #expect(try accepts(range, String(scalar)) == isInside, "\(value)")
    }
  }

  /// A grammar with several readings of every text ends in an error, not in a wait.
  @Test func ambiguousGrammarsEndInAnError() throws {
    let matcher = try GrammarMatcher(try Grammar(gbnf: "root ::= a\na ::= \"x\" | \"x\" a a | \"x\" a \"\" a"))
    #expect(throws: GrammarError.self) {
      for _ in 0..<100_000 { _ = try matcher.accept([UInt8(ascii: "x")]) }
    }
    #expect(throws: GrammarError.self) { try GrammarMatcher(try Grammar(gbnf: "root ::= (\"a\"?){100000}")) }
  }

  /// Long texts and deep ones: what was learned is forgotten in between, what is needed is kept.
  @Test func longTextsFitIntoTheMemory() throws {
    let matcher = try GrammarMatcher(try Grammar(gbnf: "root ::= list\nlist ::= \"[\" (list (\",\" list)*)? \"]\" \"\"\n"))
    for _ in 0..<30_000 { #expect(try matcher.accept([UInt8(ascii: "[")])) }
    for _ in 0..<29_999 {
      #expect(try matcher.accept([UInt8(ascii: "]")]))
      #expect(try matcher.accept([UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "]")]))
    }
    #expect(!matcher.accepts(matcher.current))
    #expect(try matcher.accept([UInt8(ascii: "]")]))
    #expect(matcher.accepts(matcher.current) && matcher.isAtEnd(matcher.current))
    #expect(try !matcher.accept([UInt8(ascii: "]")]))
    let counted = try GrammarMatcher(try Grammar(gbnf: "root ::= [ab]{20000} \"!\""))
    for index in 0..<20_000 { #expect(try counted.accept([index % 2 == 0 ? 97 : 98])) }
    #expect(try !counted.accept([97]) && counted.accept([33]))
  }
}
