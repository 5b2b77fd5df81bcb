// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTokenizers

/// Texts, ids and decoded texts of transformers.js, for the tokenizers whose files are there.
@Suite(.needsSharedData) struct VectorTests {
  @Test(arguments: ["openai-community/gpt2", "Xenova/gpt2"]) func gpt2(name: String) throws {
    try check(try PublishedTokenizers.vocabulary("gpt-2"), name, addSpecial: false)
  }

  @Test func falcon() throws { try check(try PublishedTokenizers.vocabulary("falcon"), "tiiuae/falcon-7b", addSpecial: false) }

  @Test func qwen() throws { try check(try PublishedTokenizers.qwen2(), "Xenova/Qwen1.5-0.5B-Chat", addSpecial: false) }

  @Test func llama3() throws {
    try check(try PublishedTokenizers.llama3(), "Xenova/llama3-tokenizer", addSpecial: false)
    try check(try PublishedTokenizers.llama3(), "Xenova/llama3-tokenizer-new", addSpecial: true)
  }

  @Test func llama2() throws {
    let name = "Xenova/llama-tokenizer"
    let tokenizer = try Tokenizer(folder: TestPaths.sharedData("tokenizers/llama2"))
    try check(tokenizer, name, addSpecial: true)
    for row in try rows(name) {
      #expect(isSame(tokenizer.decode(row.ids, skipSpecial: false), row.decoded), "\(name): \(row.text.debugDescription)")
    }
  }

  /// Where the reference also cleans spaces up (` !` to `!`), only the text itself is what decoding has to give.
  private func check(_ tokenizer: Tokenizer, _ name: String, addSpecial: Bool) throws {
    let rows = try rows(name)
    #expect(rows.count > 20)
    for row in rows {
      let ids = tokenizer.encode(row.text, addSpecial: addSpecial, parseSpecial: true)
      #expect(ids == row.ids, "\(name): \(row.text.debugDescription)")
      guard tokenizer.prefix.isEmpty || addSpecial, !row.text.contains("\u{2581}") else { continue }
      #expect(isSame(tokenizer.decode(row.ids, skipSpecial: true), row.text), "\(name): \(row.text.debugDescription)")
    }
  }

  private func rows(_ name: String) throws -> [(text: String, ids: [Int32], decoded: String)] {
    let file = try TokenizerGolden.object(TestPaths.sharedData("tokenizers/vectors.json"))
    return try #require(file[name] as? [TokenizerGolden.Object]).map { row in
      let ids = try #require(row["ids"] as? [Int])
      return (try #require(row["text"] as? String), ids.map(Int32.init), try #require(row["decoded"] as? String))
    }
  }
}
