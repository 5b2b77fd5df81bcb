// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTokenizers

/// Folders without tokenizer.json, against transformers (their classes) and SentencePiece (its models).
struct LegacyFolderTests {
  @Test(arguments: ["gpt2", "gpt2-original", "qwen2", "bert", "bert-cased", "sentencepiece-unigram", "sentencepiece-bpe"])
  func idsOfReference(name: String) throws {
    let golden = try TokenizerGolden.file("files.json")
    let texts = try #require(golden["texts"] as? [String])
    let ids = try TokenizerGolden.ids((golden["folders"] as? TokenizerGolden.Object)?[name])
    let tokenizer = try Tokenizer(folder: TestPaths.goldens + "/tokenizers/files/\(name)")
    // SentencePiece itself reads no special tokens in a text.
    let isModel = name.hasPrefix("sentencepiece")
    #expect(texts.count > 120 && texts.count == ids.count)
    for (text, expected) in zip(texts, ids) {
      #expect(tokenizer.encode(text, addSpecial: true, parseSpecial: !isModel) == expected, "\(text.debugDescription)")
      #expect(isSame(streamed(tokenizer, expected, skipSpecial: true), tokenizer.decode(expected, skipSpecial: true)))
      if name == "sentencepiece-bpe", !text.contains("\u{2581}") {
        #expect(isSame(tokenizer.decode(expected, skipSpecial: true), text))
      }
    }
  }

  /// As published, in both forms: the same ids.
  @Test(.needsSharedData) func sentencePieceModelIsTokenizerJSON() throws {
    let folder = try TemporaryFolder()
    let shared = TestPaths.sharedData("tokenizers/llama2")
    try folder.write(try readBytes(shared + "/tokenizer.model"), to: "tokenizer.model")
    try folder.write(Array(#"{"tokenizer_class": "LlamaTokenizer"}"#.utf8), to: "tokenizer_config.json")
    let (model, json) = (try Tokenizer(folder: folder.path), try Tokenizer(folder: shared))
    #expect(model.prefix == json.prefix && model.endTokens == json.endTokens && model.vocabularySize == json.vocabularySize)
    for text in try #require(try TokenizerGolden.file("files.json")["texts"] as? [String]) {
      // The added tokens of this tokenizer.json are found in prepared text, where nothing stands as it is written.
      if text.contains("<s>") || text.contains("</s>") { continue }
      let ids = model.encode(text, addSpecial: true, parseSpecial: true)
      #expect(ids == json.encode(text, addSpecial: true, parseSpecial: true), "\(text.debugDescription)")
      #expect(isSame(model.decode(ids, skipSpecial: true), json.decode(ids, skipSpecial: true)))
    }
  }
}
