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

  /// A byte-level tokenizer from GPT-2's file set (piece -> id as JSON, a merge per line), as GGUF metadata with the named
  /// pre-tokenizer: what a converter would write.
  static func byteLevel(vocabulary: String, merges: String, added: String? = nil, pre: String) throws -> Tokenizer {
    let file = TestPaths.sharedData(vocabulary)
    var tokens: [Int: String] = [:]
    for (piece, id) in try JSON(file: file).members ?? [] { tokens[id.int ?? -1] = piece }
    var types = [Int64](repeating: 1, count: tokens.count)
    if let added {
      for (piece, id) in try JSON(file: TestPaths.sharedData(added)).members ?? [] {
        tokens[id.int ?? -1] = piece
        types.append(3)
      }
    }
    let lines = String(decoding: try readBytes(TestPaths.sharedData(merges)), as: UTF8.self)
      .split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#version") }
    let metadata: [String: GGUFValue] = [
      "tokenizer.ggml.model": .string("gpt2"), "tokenizer.ggml.pre": .string(pre),
      "tokenizer.ggml.tokens": .strings((0..<tokens.count).map { tokens[$0] ?? "" }),
      "tokenizer.ggml.token_type": .integers(types), "tokenizer.ggml.merges": .strings(lines),
    ]
    return try Tokenizer(metadata: metadata, location: file)
  }
}
