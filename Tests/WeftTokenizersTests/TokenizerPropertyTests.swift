// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

/// What holds for every tokenizer and every text.
@Suite(.needsSharedData) struct TokenizerPropertyTests {
  static func all() throws -> [(name: String, tokenizer: Tokenizer)] {
    var all: [(String, Tokenizer)] = []
    for name in ["llama2", "phi3-v", "smollm"] {
      all.append((name, try Tokenizer(folder: TestPaths.sharedData("tokenizers/\(name)"))))
    }
    for name in ["llama-spm", "phi-3", "gpt-2", "falcon", "starcoder"] {
      all.append(("GGUF \(name)", try PublishedTokenizers.vocabulary(name)))
    }
    all.append(("stories260K", try PublishedTokenizers.gguf("models/stories260K/stories260K-F16.gguf")))
    all.append(("llama3", try PublishedTokenizers.llama3()))
    return all
  }

  /// Texts that have broken tokenizers elsewhere.
  static let difficult = [
    "", "\0", "a\0b\0", "\u{301}", "\u{301}\u{301}a", "e\u{301}\u{E9}", "👨‍👩‍👧‍👦🇩🇪", "\u{10FFFD}\u{E000}", "\u{FEFF}x",
    "\u{FFFD}", "\r\n\r\n", " \u{2581} ", "<0x0A><0xFF>", "<s><unk><|end|>", "\u{202E}abc",
    String(repeating: "\u{1F600}", count: 300),
    String(repeating: "a", count: 20_000), String(repeating: " ", count: 5000) + "x", String(repeating: "<|", count: 3000),
    String(repeating: "ab\n", count: 5000),
  ]

  @Test func streamingGivesWhatDecodingGives() throws {
    var generator = SeededGenerator(seed: 11)
    for (name, tokenizer) in try Self.all() {
      for round in 0..<60 {
        let count = Int.random(in: 0..<40, using: &generator)
        // Some ids outside the vocabulary: models have more rows than their tokenizer has tokens.
        let ids = (0..<count).map { _ in Int32.random(in: -2..<Int32(tokenizer.vocabularySize) + 5, using: &generator) }
        let isSkipping = round % 2 == 0
        let text = tokenizer.decode(ids, skipSpecial: isSkipping)
        #expect(isSame(streamed(tokenizer, ids, skipSpecial: isSkipping), text), "\(name): \(ids)")
        // Bytes of single tokens add up to the text as well, but for a space at the beginning and damaged characters.
        let bytes = ids.filter { !isSkipping || !tokenizer.isSpecial($0) }.flatMap { tokenizer.bytes(of: $0) }
        let joined = String(decoding: bytes, as: UTF8.self)
        #expect(isSame(joined, text) || isSame(joined, " " + text), "\(name): \(ids)")
      }
    }
  }

  @Test func textsComeBack() throws {
    for (name, tokenizer) in try Self.all() {
      for text in Self.difficult {
        let ids = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
        #expect(ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularySize }, "\(name)")
        // "▁" is a space in SentencePiece's vocabularies, and `<0x0A>` the spelling of a byte in tokenizer.json's rules.
        let isSentencePiece = tokenizer.id(of: "<0x0A>") != nil
        if isSentencePiece && text.contains("\u{2581}") { continue }
        #expect(isSame(tokenizer.decode(ids, skipSpecial: false), text), "\(name): \(text.prefix(40).debugDescription)")
        #expect(isSame(streamed(tokenizer, ids, skipSpecial: false), text), "\(name): \(text.prefix(40).debugDescription)")
      }
    }
  }

  /// A stream gives out only whole characters, and as soon as they are whole.
  @Test func streamsNeverCutCharacters() throws {
    let tokenizer = try PublishedTokenizers.vocabulary("gpt-2")
    let ids = tokenizer.encode("a🦙é", addSpecial: false, parseSpecial: false)
    var stream = StreamingDetokenizer(tokenizer, skipSpecial: false)
    let texts = ids.map { stream.append($0) }
    #expect(ids.count > 4 && texts.filter { !$0.isEmpty } == ["a", "🦙", "é"] && stream.finish().isEmpty)

    var damaged = StreamingDetokenizer(tokenizer, skipSpecial: false)
    let lead = try #require(ids.first { tokenizer.bytes(of: $0).first == 0xF0 })
    #expect(damaged.append(lead).isEmpty)
    #expect(damaged.append(ids[0]) == "\u{FFFD}a")
    #expect(damaged.append(lead).isEmpty && damaged.finish() == "\u{FFFD}")
  }

  @Test func continuedTextsKeepTheirSpace() throws {
    let tokenizer = try PublishedTokenizers.vocabulary("llama-spm")
    let ids = tokenizer.encode("there", addSpecial: false, parseSpecial: false)
    var fresh = StreamingDetokenizer(tokenizer, skipSpecial: true)
    var continued = StreamingDetokenizer(tokenizer, skipSpecial: true, continuing: true)
    #expect(ids.map { fresh.append($0) }.joined() + fresh.finish() == "there")
    #expect(ids.map { continued.append($0) }.joined() + continued.finish() == " there")
  }

  @Test func threadsShareATokenizer() async throws {
    let tokenizer = try Tokenizer(folder: TestPaths.sharedData("tokenizers/smollm"))
    let expected = Self.difficult.map { tokenizer.encode($0, addSpecial: true, parseSpecial: true) }
    let results = await withTaskGroup(of: [[Int32]].self) { group in
      for _ in 0..<8 {
        group.addTask { Self.difficult.map { tokenizer.encode($0, addSpecial: true, parseSpecial: true) } }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results.count == 8 && results.allSatisfy { $0 == expected })
  }

  @Test func specialTokens() throws {
    let spm = try PublishedTokenizers.vocabulary("llama-spm")
    #expect(spm.beginToken == 1 && spm.endToken == 2 && spm.unknownToken == 0 && spm.paddingToken == nil)
    #expect(spm.endTokens == [2] && spm.prefix == [1] && spm.suffix.isEmpty && spm.vocabularySize == 32_000)
    #expect(spm.id(of: "\u{2581}Hello") == 15_043 && spm.vocabulary.piece(of: 15_043) == "\u{2581}Hello")
    #expect(spm.bytes(of: 13) == [0x0A] && spm.bytes(of: 15_043) == Array(" Hello".utf8) && spm.bytes(of: 40_000).isEmpty)
    #expect(spm.encode("<s>a", addSpecial: true, parseSpecial: true) == [1, 1, 263])
    #expect(spm.encode("<s>", addSpecial: false, parseSpecial: false).count > 1)
    #expect(
      spm.decode([1, 15_043, 2], skipSpecial: true) == "Hello" && spm.decode([15_043, 2], skipSpecial: false) == "Hello</s>")

    let phi = try Tokenizer(folder: TestPaths.sharedData("tokenizers/phi3-v"))
    #expect(phi.beginToken == 1 && phi.endToken == 32_000 && phi.endTokens == [32_000, 32_007] && phi.prefix == [1])
    #expect(phi.chatTemplate?.hasPrefix("{%") == true && phi.id(of: "<|end|>") == 32_007)

    let smollm = try Tokenizer(folder: TestPaths.sharedData("tokenizers/smollm"))
    #expect(smollm.beginToken == nil && smollm.endTokens == [0, 2] && smollm.prefix.isEmpty && smollm.chatTemplate == nil)
    #expect(try PublishedTokenizers.llama3().prefix == [128_000])

    let stories = try PublishedTokenizers.gguf("models/stories260K/stories260K-F16.gguf")
    #expect(stories.vocabularySize == 512 && stories.paddingToken == nil && stories.prefix == [1] && stories.endTokens == [2])
    let greedy = try #require(
      (try TokenizerGolden.object(TestPaths.sharedData("models/reference_logits.json"))["stories260K"]
        as? TokenizerGolden.Object)?["greedy_from_bos"] as? [Int])
    #expect(
      stories.decode(greedy.map(Int32.init), skipSpecial: true).hasPrefix("Once upon a time, there was a little girl named"))
  }
}
