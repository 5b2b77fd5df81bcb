// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

/// GGUF vocabularies of encoders, made here as the converter makes them: the ids that the makers' own files give.
struct GGUFModelTests {
  /// `bert`: "▁" before what begins a word instead of "##" before what continues one.
  @Test func wordPieces() throws {
    let golden = try TokenizerGolden.file("files.json")
    let texts = try #require(golden["texts"] as? [String])
    let ids = try TokenizerGolden.ids((golden["folders"] as? TokenizerGolden.Object)?["bert"])
    let lines = try String(contentsOfFile: TestPaths.goldens + "/tokenizers/files/bert/vocab.txt", encoding: .utf8)
      .split(separator: "\n").map(String.init)
    let isSpecial = lines.map { ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"].contains($0) }
    let tokens = zip(lines, isSpecial).map { line, isSpecial in
      isSpecial ? line : line.hasPrefix("##") ? String(line.dropFirst(2)) : "\u{2581}" + line
    }
    let tokenizer = try Tokenizer(
      metadata: [
        "tokenizer.ggml.model": .string("bert"), "tokenizer.ggml.tokens": .strings(tokens),
        "tokenizer.ggml.token_type": .integers(isSpecial.map { $0 ? 3 : 1 }), "tokenizer.ggml.unknown_token_id": .unsigned(0),
        "tokenizer.ggml.bos_token_id": .unsigned(1), "tokenizer.ggml.seperator_token_id": .unsigned(2),
      ], location: "bert.gguf")
    for (text, expected) in zip(texts, ids) {
      #expect(tokenizer.encode(text, addSpecial: true, parseSpecial: true) == expected, "\(text.debugDescription)")
    }
    let words = tokenizer.encode("The quick brown fox", addSpecial: true, parseSpecial: false)
    #expect(tokenizer.decode(words, skipSpecial: true) == "the quick brown fox")
  }

  /// `t5`: pieces with scores, a space before the text, the end token behind it.
  @Test func unigram() throws {
    let golden = try TokenizerGolden.file("components.json")
    let texts = try #require(golden["texts"] as? [String])
    let model = try #require((golden["models"] as? [String: TokenizerGolden.Object])?["unigram"])
    let pieces = try #require(model["vocab"] as? [[Any]])
    let row = try #require((golden["cases"] as? [TokenizerGolden.Object])?.first { $0["name"] as? String == "Unigram" })
    let expected = try TokenizerGolden.ids(row["plain"])
    let tokenizer = try Tokenizer(
      metadata: [
        "tokenizer.ggml.model": .string("t5"), "tokenizer.ggml.tokens": .strings(pieces.map { $0[0] as? String ?? "" }),
        "tokenizer.ggml.scores": .floats(pieces.map { Float(($0[1] as? Double) ?? 0) }),
        "tokenizer.ggml.token_type": .integers(pieces.indices.map { $0 == 0 ? 2 : $0 < 3 ? 3 : 1 }),
        "tokenizer.ggml.unknown_token_id": .unsigned(0), "tokenizer.ggml.eos_token_id": .unsigned(2),
        "tokenizer.ggml.remove_extra_whitespaces": .bool(false),
      ], location: "t5.gguf")
    #expect(tokenizer.prefix.isEmpty && tokenizer.suffix == [2])
    var count = 0
    for (index, chosen) in try #require(row["texts"] as? [Int]).enumerated() {
      let text = texts[chosen]
      // `Metaspace` puts no second mark before a text that begins with one; SentencePiece does.
      if text.hasPrefix(" ") || text.hasPrefix("\u{2581}") || text.contains("<") { continue }
      count += 1
      #expect(tokenizer.encode(text, addSpecial: false, parseSpecial: false) == expected[index], "\(text.debugDescription)")
    }
    #expect(count > 50)
  }
}
