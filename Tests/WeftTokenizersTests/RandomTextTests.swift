// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

/// 500 random Unicode strings through every available tokenizer, against the `tokenizers` package: the stored sample of
/// `tools/compare_tokenizers.py`, which compares 20,000.
@Suite(.needsSharedData) struct RandomTextTests {
  @Test(arguments: [
    "llama2", "phi3-v", "smollm", "qwen2, vocab.json and merges.txt", "gpt2", "llama3", "gpt-2.gguf", "starcoder.gguf",
    "falcon.gguf", "ggml-vocab-llama-spm.gguf", "stories260K-F16.gguf",
  ])
  func idsOfReference(name: String) throws {
    let golden = try TokenizerGolden.file("random.json")
    let texts = try #require(golden["texts"] as? [String])
    let hashes = try #require((golden["tokenizers"] as? [String: [String]])?[name])
    #expect(texts.count == 500 && hashes.count == 500)
    let tokenizer = try Self.tokenizer(name)
    for (text, hash) in zip(texts, hashes) {
      let ids = tokenizer.encode(text, addSpecial: false, parseSpecial: true)
      let found = TemplateJSON.hash(ids.map { "\($0)" }.joined(separator: " ")).prefix(8)
      #expect(found == hash, "\(text.debugDescription)")
      #expect(isSame(streamed(tokenizer, ids, skipSpecial: false), tokenizer.decode(ids, skipSpecial: false)))
    }
  }

  private static func tokenizer(_ name: String) throws -> Tokenizer {
    switch name {
    case "llama2", "phi3-v", "smollm": return try Tokenizer(folder: TestPaths.sharedData("tokenizers/\(name)"))
    case "qwen2, vocab.json and merges.txt": return try Tokenizer(folder: TestPaths.sharedData("tokenizers/qwen2"))
    case "gpt2": return try PublishedTokenizers.gpt2()
    case "llama3": return try PublishedTokenizers.llama3()
    case "stories260K-F16.gguf": return try PublishedTokenizers.gguf("models/stories260K/\(name)")
    case let name where name.hasPrefix("ggml-vocab"): return try PublishedTokenizers.gguf("tokenizers/ggml-vocab/\(name)")
    default: return try PublishedTokenizers.vocabulary(String(name.dropLast(5)))
    }
  }
}
