// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

/// The ways of cutting text that GGUF files name, against the `tokenizers` package with the makers' expressions.
struct PreTokenizerKindTests {
  /// All bytes, and all pairs of bytes as merges in the mixed order of `tools/make_tokenizer_goldens.py`: nearly every cut shows.
  private static let pairs: (tokens: [String], merges: [String]) = {
    let printable = Set(Array(0x21...0x7E) + Array(0xA1...0xAC) + Array(0xAE...0xFF))
    var next: UInt32 = 0x100
    let alphabet = (0..<256).map { byte in
      let value: UInt32 = printable.contains(byte) ? UInt32(byte) : next
      if !printable.contains(byte) { next += 1 }
      return String(Unicode.Scalar(value) ?? "?")
    }
    let mixed = (0..<65_536).map { $0 * 40_503 % 65_536 }
    return (
      alphabet + mixed.map { alphabet[$0 >> 8] + alphabet[$0 & 255] },
      mixed.map { alphabet[$0 >> 8] + " " + alphabet[$0 & 255] }
    )
  }()

  private static func tokenizer(_ kind: String, _ more: [String: GGUFValue] = [:]) throws -> Tokenizer {
    let metadata: [String: GGUFValue] = [
      "tokenizer.ggml.model": .string("gpt2"), "tokenizer.ggml.pre": .string(kind),
      "tokenizer.ggml.tokens": .strings(pairs.tokens), "tokenizer.ggml.merges": .strings(pairs.merges),
    ]
    return try Tokenizer(metadata: metadata.merging(more) { $1 }, location: kind)
  }

  @Test func everyKindCutsAsTheMakersExpression() throws {
    let golden = try TokenizerGolden.file("kinds.json")
    let texts = try #require(golden["texts"] as? [String])
    let kinds = try #require(golden["kinds"] as? [String: [String]])
    #expect(kinds.count > 25)
    for (name, hashes) in kinds.sorted(by: { $0.key < $1.key }) {
      let tokenizer = try Self.tokenizer(name)
      #expect(hashes.count == texts.count)
      for (text, hash) in zip(texts, hashes) {
        let ids = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
        let found = TemplateJSON.hash(ids.map { "\($0)" }.joined(separator: " ")).prefix(8)
        #expect(found == hash, "\(name): \(text.debugDescription)")
        #expect(isSame(tokenizer.decode(ids, skipSpecial: false), text), "\(name): \(text.debugDescription)")
      }
    }
  }

  /// Names that share a row do the same; rows differ in begin tokens and in what whole pieces do.
  @Test(arguments: [
    ("llama3", true, true), ("falcon3", true, true), ("tekken", true, true), ("chameleon", true, false), ("dbrx", false, false),
    ("glm4", false, false), ("youtu", false, true), ("minicpm5", false, true), ("deepseek-r1-qwen", false, false),
    ("jina-v2-de", false, false), ("llama4", false, false), ("joyai-llm", false, false), ("grok-2", false, false),
  ])
  func flags(name: String, addsBegin: Bool, ignoresMerges: Bool) throws {
    // Without merges only a whole piece can be more than a byte.
    let tokenizer = try Self.tokenizer(
      name, ["tokenizer.ggml.bos_token_id": .unsigned(0), "tokenizer.ggml.merges": .strings([])])
    #expect(tokenizer.prefix == (addsBegin ? [0] : []))
    #expect(tokenizer.encode("ab", addSpecial: false, parseSpecial: false).count == (ignoresMerges ? 1 : 2))
  }
}
