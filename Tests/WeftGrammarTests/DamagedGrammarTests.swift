// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftGrammar

/// Grammars and schemas with random damage: whatever they are, they end in a grammar or in an error.
struct DamagedGrammarTests {
  private func damaged(_ text: String, _ changes: ClosedRange<Int>, _ generator: inout SeededGenerator) -> String {
    var scalars = Array(text.unicodeScalars)
    let pool = Array(#"(){}[]|*+?"\^-.,:=#0129ax<!$ "#.unicodeScalars) + ["\n", "é", "\u{1F600}", "\0"]
    for _ in 0..<Int.random(in: changes, using: &generator) where !scalars.isEmpty {
      let place = Int.random(in: 0..<scalars.count, using: &generator)
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: scalars.remove(at: place)
      case 1: scalars.insert(pool.randomElement(using: &generator) ?? "a", at: place)
      case 2: scalars[place] = pool.randomElement(using: &generator) ?? "a"
      default:
        let length = min(scalars.count - place, Int.random(in: 1...8, using: &generator))
        scalars.insert(contentsOf: scalars[place..<place + length], at: place)
      }
    }
    return String(String.UnicodeScalarView(scalars))
  }

  /// Follows some bytes of a grammar, as far as it goes.
  private func follow(_ grammar: Grammar, _ generator: inout SeededGenerator) throws {
    let matcher = try GrammarMatcher(grammar)
    for _ in 0..<30 {
      let state = matcher.current
      var allowed: [UInt8] = []
      for byte in 0...255 as ClosedRange<UInt8> where try matcher.next(state, byte) != nil { allowed.append(byte) }
      #expect(!allowed.isEmpty || matcher.accepts(state), "no way out")
      guard let byte = allowed.randomElement(using: &generator) else { return }
      #expect(try matcher.accept([byte]))
    }
  }

  @Test func damagedGrammarsEndInErrors() {
    let text = """
      root ::= (item ("," item)*)? "." # list
      item ::= [^a-z\\x00-\\u00e9]{1,3} | "x\\"\\U0001F600" number{2,} | . root?
      number ::= "-"? ("0" | [1-9] [0-9]*)
      """
    var generator = SeededGenerator(seed: 5)
    var parsed = 0
    for _ in 0..<800 {
      do throws(GrammarError) {
        let grammar = try Grammar(gbnf: damaged(text, 1...4, &generator))
        parsed += 1
        do { try follow(grammar, &generator) } catch { #expect(error is GrammarError) }
      } catch { #expect(!error.description.isEmpty) }
    }
    #expect(parsed > 50 && parsed < 750, "\(parsed)")
  }

  @Test func damagedSchemasEndInErrors() {
    let text = ##"""
      {"type": "object", "properties": {"a": {"type": "integer", "minimum": -12, "maximum": 340}, "b": {"$ref": "#/$defs/c"},
      "d": {"pattern": "^[a-z]{2}\\d(x|y)*$"}, "e": {"prefixItems": [{"const": 1}], "items": {"type": "number", "maximum": 5}}},
      "required": ["a"], "$defs": {"c": {"oneOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}]}}}
      """##
    var generator = SeededGenerator(seed: 6)
    var parsed = 0
    for _ in 0..<800 {
      do throws(GrammarError) {
        let grammar = try Grammar(jsonSchema: damaged(text, 1...1, &generator))
        parsed += 1
        do { try follow(grammar, &generator) } catch { #expect(error is GrammarError) }
      } catch { #expect(!error.description.isEmpty) }
    }
    #expect(parsed > 50 && parsed < 750, "\(parsed)")
  }
}
