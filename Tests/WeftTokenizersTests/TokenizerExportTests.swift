// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

/// Tokenizers of folders as GGUF metadata.
struct TokenizerExportTests {
  private static func read(_ metadata: [GGUFWriter.Pair]) throws -> Tokenizer {
    try Tokenizer(metadata: GGUFFile(path: "memory", metadata: metadata, vectors: []).metadata, location: "memory")
  }

  /// The texts that llama.cpp tests its vocabularies with.
  private static func texts() throws -> [String] {
    let file = TestPaths.sharedData("tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf.inp")
    return String(decoding: try readBytes(file), as: UTF8.self).split(separator: "\n__ggml_vocab_test__\n").map(String.init)
  }

  @Test(
    .needsSharedData,
    arguments: [("smollm", "smollm"), ("qwen2", "qwen2"), ("llama2", "default"), ("phi3-v", "default")])
  func publishedTokenizersComeBackTheSame(name: String, kind: String) throws {
    let folder = TestPaths.sharedData("tokenizers/" + name)
    let tokenizer = try Tokenizer(folder: folder)
    let metadata = try tokenizer.ggufMetadata(vocabularySize: tokenizer.vocabularySize + 5, location: folder)
    let file = try GGUFFile(path: "memory", metadata: metadata, vectors: [])
    let pre = try #require(file.metadata["tokenizer.ggml.pre"]?.string)
    // Names of one row mean the same.
    #expect(pre == kind || pre == "starcoder" && kind == "smollm", "\(pre)")
    let tokens = try #require(file.metadata["tokenizer.ggml.tokens"]?.strings)
    #expect(tokens.count == tokenizer.vocabularySize + 5 && tokens.last == "[PAD\(tokens.count - 1)]")
    let other = try Self.read(metadata)
    #expect(other.beginToken == tokenizer.beginToken && other.endToken == tokenizer.endToken)
    #expect(other.chatTemplate == tokenizer.chatTemplate)
    for text in try Self.texts() {
      let ids = tokenizer.encode(text, addSpecial: true, parseSpecial: false)
      #expect(other.encode(text, addSpecial: true, parseSpecial: false) == ids, "\(JSON.text(text))")
      #expect(other.decode(ids, skipSpecial: true) == tokenizer.decode(ids, skipSpecial: true))
    }
  }

  /// From SentencePiece's own file: the scores are its scores.
  @Test func sentencePieceScoresAreKept() throws {
    let folder = TestPaths.goldens + "/tokenizers/files/sentencepiece-bpe"
    let tokenizer = try Tokenizer(folder: folder)
    let metadata = try tokenizer.ggufMetadata(vocabularySize: tokenizer.vocabularySize, location: folder)
    let other = try Self.read(metadata)
    for text in ["the quick brown fox", " two  spaces ", "ünï 漢字 \n x", ""] {
      #expect(
        other.encode(text, addSpecial: true, parseSpecial: false)
          == tokenizer.encode(text, addSpecial: true, parseSpecial: false),
        "\(text)")
    }
  }

  @Test func whatGGUFHasNoNameForIsRefused() throws {
    let folder = TestPaths.goldens + "/tokenizers/files/sentencepiece-unigram"
    let tokenizer = try Tokenizer(folder: folder)
    let error = #expect(throws: TokenizerError.self) {
      _ = try tokenizer.ggufMetadata(vocabularySize: tokenizer.vocabularySize, location: folder)
    }
    #expect(error?.description.contains("byte-pair encoding") == true)
  }

  @Test func moreTokensThanRowsAreRefused() throws {
    let folder = TestPaths.goldens + "/tokenizers/files/sentencepiece-bpe"
    let tokenizer = try Tokenizer(folder: folder)
    #expect(throws: TokenizerError.self) {
      _ = try tokenizer.ggufMetadata(vocabularySize: tokenizer.vocabularySize - 1, location: folder)
    }
  }
}
