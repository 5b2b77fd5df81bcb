// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftGrammar
import WeftTokenizers

/// Which tokens grammars permit, against llama.cpp: `tools/make_sampler_goldens.py`.
struct GrammarMaskTests {
  private struct File: Decodable { let cases: [Case] }

  private struct Case: Decodable {
    let vocabulary: String
    let grammar: String
    let tokens: [Int32]
    let permitted: [Int32]?
    let refused: [Int32]?
  }

  @Test(.needsSharedData) func masksAreThoseOfTheReference() throws {
    let bytes = try readBytes(TestPaths.goldens + "/sampling/grammars.json")
    let cases = try JSONDecoder().decode(File.self, from: Data(bytes)).cases
    let tokenizers = ["stories260K": try Vocabularies.stories(), "demo": try Vocabularies.demo()]
    #expect(cases.count > 40)
    for test in cases {
      let tokenizer = try #require(tokenizers[test.vocabulary])
      let size = tokenizer.vocabularySize
      let table = TokenTable(count: size) { id in
        tokenizer.isSpecial(id) || tokenizer.endTokens.contains(id) ? [] : tokenizer.bytes(of: id)
      }
      let constraint = try TokenConstraint(
        try Grammar(gbnf: test.grammar), table: table, endTokens: tokenizer.endTokens, maskSize: size)
      for token in test.tokens { #expect(try constraint.accept(token)) }
      let mask = try constraint.mask()
      let found = Set((0..<Int32(size)).filter { mask[Int($0) / 64] >> UInt64($0 % 64) & 1 == 1 })
      // llama.cpp reads special tokens as if they were text, and takes bytes above F4 for beginnings of characters, which
      // UTF-8 has not had since 2003. Neither is ever part of an answer here.
      let expected = (test.permitted.map { Set($0) } ?? Set(0..<Int32(size)).subtracting(test.refused ?? [])).filter {
        tokenizer.endTokens.contains($0)
          || (!tokenizer.isSpecial($0) && !tokenizer.bytes(of: $0).contains { $0 > 0xF4 })
      }
      let difference = found.symmetricDifference(expected).map { "\($0) \(tokenizer.bytes(of: $0))" }.sorted()
      #expect(difference.isEmpty, "\(test.vocabulary) \(test.grammar) \(test.tokens)")
      // Asking about one token is the same as asking about all.
      for id in 0..<Int32(size) where try constraint.permits(id) != found.contains(id) {
        Issue.record("\(test.vocabulary) \(test.grammar) \(test.tokens): \(id)")
      }
    }
  }
}
