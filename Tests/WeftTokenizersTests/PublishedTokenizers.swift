// SPDX-License-Identifier: Apache-2.0

import TestSupport
import WeftFormats
import WeftTokenizers

/// Tokenizers of the shared data, in whatever form they lie there.
enum PublishedTokenizers {
  /// The tokenizer of a GGUF file.
  static func gguf(_ name: String) throws -> Tokenizer {
    let file = try GGUFFile(path: TestPaths.sharedData(name))
    return try Tokenizer(metadata: file.metadata, location: file.path)
  }

  static func vocabulary(_ name: String) throws -> Tokenizer { try gguf("tokenizers/ggml-vocab/ggml-vocab-\(name).gguf") }

  static func llama3() throws -> Tokenizer {
    try byteLevel(
      vocabulary: "tokenizers/llama3.2/encoder.json", merges: "tokenizers/llama3.2/vocab.bpe",
      special: ["<|begin_of_text|>", "<|end_of_text|>"], begin: 128_000, pre: "llama-bpe")
  }

  static func qwen2() throws -> Tokenizer { try Tokenizer(folder: TestPaths.sharedData("tokenizers/qwen2")) }

  /// GPT-2's files under the names that a folder has.
  static func gpt2() throws -> Tokenizer {
    let folder = try TemporaryFolder()
    for (name, source) in [("vocab.json", "gpt2_vocab.json"), ("merges.txt", "gpt2_merges.txt")] {
      try folder.write(try readBytes(TestPaths.sharedData("tokenizers/gpt2/\(source)")), to: name)
    }
    try folder.write(Array(#"{"tokenizer_class": "GPT2Tokenizer"}"#.utf8), to: "tokenizer_config.json")
    return try Tokenizer(folder: folder.path)
  }

  /// A byte-level tokenizer from GPT-2's file set (piece -> id as JSON, a merge per line) and special tokens numbered behind
  /// it, as GGUF metadata with the named pre-tokenizer: what a converter would write.
  private static func byteLevel(
    vocabulary: String, merges: String, special: [String], begin: UInt64?, pre: String
  ) throws -> Tokenizer {
    let file = TestPaths.sharedData(vocabulary)
    var tokens: [Int: String] = [:]
    for (piece, id) in try JSON(file: file).members ?? [] { tokens[id.int ?? -1] = piece }
    let types = [Int64](repeating: 1, count: tokens.count) + special.map { _ in 3 }
    for token in special { tokens[tokens.count] = token }
    let lines = String(decoding: try readBytes(TestPaths.sharedData(merges)), as: UTF8.self)
      .split(whereSeparator: \.isNewline).map(String.init).filter { !$0.hasPrefix("#version") }
    var metadata: [String: GGUFValue] = [
      "tokenizer.ggml.model": .string("gpt2"), "tokenizer.ggml.pre": .string(pre),
      "tokenizer.ggml.tokens": .strings((0..<tokens.count).map { tokens[$0] ?? "" }),
      "tokenizer.ggml.token_type": .integers(types), "tokenizer.ggml.merges": .strings(lines),
    ]
    metadata["tokenizer.ggml.bos_token_id"] = begin.map { .unsigned($0) }
    return try Tokenizer(metadata: metadata, location: file)
  }
}
