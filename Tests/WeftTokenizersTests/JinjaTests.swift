// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

@Suite("Jinja")
struct JinjaTests {
  private func render(
    _ source: String, _ variables: [(String, Jinja.Value)] = [], dialect: Jinja.Dialect = .transformers,
    limits: Jinja.Limits = .init(), secondsSinceEpoch: Int? = nil
  ) throws(TemplateError) -> String {
    try Jinja.Template(source: source, location: "test", dialect: dialect, limits: limits)
      .render(variables, secondsSinceEpoch: secondsSinceEpoch)
  }

  /// The unit cases of huggingface.js, in its dialect.
  @Test(.needsSharedData) func unitCases() throws {
    let path = TestPaths.sharedData("templates/jinja_cases.json")
    let cases = try #require(try TemplateJSON.load(path).array)
    #expect(cases.count == 110)
    for unit in cases {
      let source = try #require(TemplateJSON.string(unit["template"]))
      let variables = try TemplateJSON.variables(unit["context"])
      let output = Result { try render(source, variables, dialect: .huggingfaceJS) }
      #expect(
        (try? output.get()) == TemplateJSON.string(unit["expected"]), "\(unit["name"]?.string ?? ""): \(source): \(output)")
    }
  }

  /// What Weft renders although Python fails: filters give lists here, and Python's give generators without length or index;
  /// keywords are taken where CPython's methods take none.
  private static let accepted: Set<String> = [
    "FILTER_OPERATOR_11", "FILTER_OPERATOR_12", "FILTER_OPERATOR_4", "FILTER_OPERATOR_5", "FILTER_OPERATOR_6", "REPLACE",
  ]

  /// The same unit cases as Python renders them.
  @Test(.needsSharedData) func unitCasesInPython() throws {
    let cases = try #require(try TemplateJSON.load(TestPaths.sharedData("templates/jinja_cases.json")).array)
    let golden = try TemplateJSON.load(TestPaths.goldens + "/templates/snippets.json")
    let expected = try #require(golden["units"]?.array)
    for (unit, expectation) in zip(cases, expected) {
      let name = try #require(unit["name"]?.string)
      #expect(expectation["name"]?.string == name)
      let source = try #require(TemplateJSON.string(unit["template"]))
      var variables = try TemplateJSON.variables(unit["context"])
      // Python got the text "[fn]" where huggingface.js passes a function.
      variables = variables.map { if case .function = $0.1 { ($0.0, .string("[fn]")) } else { $0 } }
      let output = Result { try render(source, variables) }
      if Self.accepted.contains(name) {
        #expect(expectation["fails"] != nil && (try? output.get()) != nil, "\(name)")
      } else {
        #expect((try? output.get()) == TemplateJSON.string(expectation["output"]), "\(name): \(source): \(output)")
      }
    }
  }

  /// The language, snippet by snippet, against Python: the output, or that it fails.
  @Test func snippets() throws {
    let golden = try TemplateJSON.load(TestPaths.goldens + "/templates/snippets.json")
    let snippets = try #require(golden["snippets"]?.array)
    let variables = try TemplateJSON.variables(golden["variables"])
    #expect(snippets.count > 100)
    for snippet in snippets {
      let source = try #require(snippet["template"]?.string)
      do {
        let output = try render(source, variables, secondsSinceEpoch: golden["secondsSinceEpoch"]?.int)
        #expect(output == TemplateJSON.string(snippet["output"]), "\(source)")
      } catch {
        #expect(snippet["output"] == nil, "\(source): \(error)")
        if let message = snippet["refuses"]?.string {
          #expect(error == .raised(location: "test:1", message: message))
        }
      }
    }
  }

  // MARK: Errors

  @Test func errorsSayWhere() {
    #expect(throws: TemplateError.value(location: "test:3", expected: "a defined value before '.b'", found: "undefined 'a'")) {
      try render("one\n\n{{ a.b }}")
    }
    #expect(throws: TemplateError.syntax(location: "test:2", expected: "}}", found: "2")) {
      try render("\n{{ 1 2 }}")
    }
    #expect(throws: TemplateError.raised(location: "test:2", message: "roles must alternate")) {
      try render("{% if true %}\n{{ raise_exception('roles must alternate') }}{% endif %}")
    }
    #expect(throws: TemplateError.unsupported(location: "test:1", found: "the filter 'urlize'")) {
      try render("{{ 'a' | urlize }}")
    }
    #expect(throws: TemplateError.unsupported(location: "test:1", found: "the tag 'include'")) {
      try render("{% include 'x' %}")
    }
  }

  /// A filter that Weft does not know fails where it is reached, not where it is written.
  @Test func unknownFilterUnreached() throws {
    #expect(try render("{% if false %}{{ 'a' | urlize }}{% endif %}b") == "b")
  }

  // MARK: Hostile templates

  /// Each ends in a typed error.
  @Test(arguments: HostileTemplates.all)
  func hostile(source: String) {
    var limits = Jinja.Limits()
    limits.steps = 500_000
    #expect(throws: TemplateError.self) {
      try render(source, [("t", .list(Jinja.List([.integer(1)])))], limits: limits)
    }
  }

  @Test(arguments: HostileTemplates.expensive) func expensive(source: String) {
    #expect(throws: TemplateError.self) { try render(source) }
  }

  /// Nesting in the source, by recursion and by chains.
  @Test(arguments: [
    ("(", "1", ")"), ("[", "", "]"), ("{1: ", "1", "}"), ("not ", "1", ""), ("-", "1", ""), ("", "1", "+1"), ("", "x", ".y"),
    ("", "x", "[0]"), ("", "1", "|abs"), ("", "x", "()"), ("", "1", " is odd"), ("1 if ", "1", ""), ("", "1", " and 1"),
    ("f(", "1", ")"),
    ("", "1", " if 1"), ("", "1", "**1"),
  ])
  func deepExpression(opening: String, middle: String, closing: String) {
    let count = 20_000
    let source = "{{ " + String(repeating: opening, count: count) + middle + String(repeating: closing, count: count) + " }}"
    #expect(throws: TemplateError.limit(location: "test:1", expected: "at most 64 levels of nesting")) { try render(source) }
  }

  @Test func deepStatements() {
    let source = String(repeating: "{% if 1 %}", count: 20_000) + String(repeating: "{% endif %}", count: 20_000)
    #expect(throws: TemplateError.limit(location: "test:1", expected: "at most 64 levels of nesting")) { try render(source) }
  }

  @Test func limitsAreParameters() throws {
    var limits = Jinja.Limits()
    limits.steps = 100
    #expect(throws: TemplateError.limit(location: "test:1", expected: "at most 100 steps")) {
      try render("{% for a in range(60) %}{{ a }}{% endfor %}", limits: limits)
    }
    limits.outputBytes = 3
    #expect(try render("abc", limits: limits) == "abc")
    #expect(throws: TemplateError.limit(location: "test:1", expected: "an output of at most 3 bytes")) {
      try render("abcd", limits: limits)
    }
    limits.sourceBytes = 3
    #expect(throws: TemplateError.limit(location: "test", expected: "a template of at most 3 bytes")) {
      try render("abcd", limits: limits)
    }
  }

  /// Every prefix of a real template, and the template with one byte changed, compiles or fails, and what compiles renders or fails.
  @Test(.needsSharedData) func damagedTemplates() throws {
    let cases = try #require(try TemplateJSON.load(TestPaths.sharedData("templates/chat_cases.json")).array)
    let source = Array(try #require(cases[22]["chat_template"]?.string).utf8)
    let variables = try TemplateJSON.variables(cases[22]["data"])
    var rendered = 0
    var generator = SeededGenerator(seed: 7)
    for round in 0..<400 {
      var bytes = source
      if round % 2 == 0 {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
      } else {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 32..<127, using: &generator)
      }
      do throws(TemplateError) {
        _ = try render(String(decoding: bytes, as: UTF8.self), variables)
        rendered += 1
      } catch {
        #expect(!error.description.isEmpty)
      }
    }
    #expect(rendered > 0 && rendered < 400)
  }
}
