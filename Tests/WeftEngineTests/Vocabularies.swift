// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

/// The tokenizers of the two models that goldens were made with.
enum Vocabularies {
  /// 512 tokens, with one for each byte. Part of the shared data.
  static func stories() throws -> Tokenizer { try open(TestPaths.sharedData("models/stories260K/stories260K-f32.gguf")) }
  /// 4096 tokens of a byte alphabet.
  static func demo() throws -> Tokenizer { try open(TestPaths.package + "/Models/demo/base.gguf") }

  private static func open(_ path: String) throws -> Tokenizer {
    let file = try #require(try Checkpoint(path: path).gguf)
    return try Tokenizer(metadata: file.metadata, location: path)
  }
}
