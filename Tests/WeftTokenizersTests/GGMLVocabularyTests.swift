// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTokenizers

/// llama.cpp's own test texts and the ids that it expects of them.
@Suite(.needsSharedData) struct GGMLVocabularyTests {
  /// Vocabularies whose GGUF file is there.
  @Test(arguments: ["llama-spm", "phi-3", "gpt-2", "falcon", "starcoder"])
  func ggufFile(name: String) throws {
    try check(try PublishedTokenizers.vocabulary(name), name)
  }

  /// Vocabularies that are there as the model's makers published them.
  @Test func makersFiles() throws {
    try check(try PublishedTokenizers.llama3(), "llama-bpe")
    try check(try PublishedTokenizers.qwen2(), "qwen2")
  }

  /// Tokens of Phi-3 take white space along: ids of llama.cpp 0.3.36 (llama-cpp-python).
  @Test func phi3Turns() throws {
    let tokenizer = try PublishedTokenizers.vocabulary("phi-3")
    let turn = tokenizer.encode("<|user|>\nHi<|end|>\n<|assistant|>\n", addSpecial: true, parseSpecial: true)
    #expect(turn == [1, 32_010, 6_324, 32_007, 32_001])
    #expect(tokenizer.encode("<s>  a</s>  b", addSpecial: true, parseSpecial: true) == [1, 1, 259, 263, 2, 289])
    #expect(
      tokenizer.encode("<|system|>  x <|end|> y", addSpecial: true, parseSpecial: true) == [
        1, 32_006, 921, 29_871, 32_007, 343,
      ])
  }

  private func check(_ tokenizer: Tokenizer, _ name: String) throws {
    let path = TestPaths.sharedData("tokenizers/ggml-vocab/ggml-vocab-\(name).gguf")
    let mark = Array("\n__ggml_vocab_test__\n".utf8)
    let texts = split(try readBytes(path + ".inp"), at: mark)
    let lines = split(try readBytes(path + ".out"), at: [0x0A])
    #expect(texts.count > 40)
    for (text, line) in zip(texts, lines) {
      let text = String(decoding: text, as: UTF8.self)
      let expected = String(decoding: line, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
      let ids = tokenizer.encode(text, addSpecial: false, parseSpecial: false)
      #expect(ids == expected, "\(name): \(text)")
      #expect(Array(tokenizer.decode(ids, skipSpecial: false).utf8) == Array(text.utf8), "\(name): \(text)")
    }
  }

  /// The parts of a text that each end in `mark`.
  private func split(_ bytes: [UInt8], at mark: [UInt8]) -> [ArraySlice<UInt8>] {
    var parts: [ArraySlice<UInt8>] = []
    var start = 0
    var index = 0
    while index + mark.count <= bytes.count {
      if bytes[index..<index + mark.count].elementsEqual(mark) {
        parts.append(bytes[start..<index])
        index += mark.count
        start = index
      } else {
        index += 1
      }
    }
    return parts
  }
}
