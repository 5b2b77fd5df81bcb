// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

/// Broken tokenizers: each raises the error that is written beside it, and nothing else happens.
struct BrokenTokenizerTests {
  /// Folders under `must-fail`, each with the text that its error begins with in `expected.txt`.
  @Test func brokenFolders() throws {
    let root = TestPaths.goldens + "/tokenizers/must-fail"
    let names = try FileManager.default.contentsOfDirectory(atPath: root).sorted()
    #expect(names.count > 40)
    for name in names {
      let folder = "\(root)/\(name)"
      let text = try String(contentsOfFile: folder + "/expected.txt", encoding: .utf8)
      let expected = text.trimmingCharacters(in: .newlines)
      do throws(TokenizerError) {
        _ = try Tokenizer(folder: folder)
        Issue.record("\(name) opens")
      } catch {
        let found = error.description.replacingOccurrences(of: root + "/", with: "")
        #expect(found.hasPrefix(expected), "\(name): \(found)")
      }
    }
  }

  /// Files with random damage open or raise an error; what opens can be used.
  @Test func damagedFiles() throws {
    let golden = try TokenizerGolden.file("components.json")
    let models = try #require(golden["models"] as? [String: TokenizerGolden.Object])
    let texts = try #require(golden["texts"] as? [String])
    var generator = SeededGenerator(seed: 5)
    let folder = try TemporaryFolder()
    let marks = Array("0\"[]{},:\\(".utf8)
    var opened = 0
    for row in try #require(golden["cases"] as? [TokenizerGolden.Object]) {
      let base = try #require(row["model"] as? String)
      let model = try #require(models[base])
      var members = try #require(row["parts"] as? TokenizerGolden.Object)
      // Little of the vocabulary, so that damage hits the components.
      var small = model
      if let pieces = model["vocab"] as? [String: Int] { small["vocab"] = pieces.filter { $0.value < 40 } }
      if let pieces = model["vocab"] as? [[Any]] { small["vocab"] = Array(pieces.prefix(40)) }
      if small["merges"] != nil { small["merges"] = [String]() }
      members["model"] = small
      let whole = Array(try JSONSerialization.data(withJSONObject: members))
      for _ in 0..<12 {
        var bytes = whole
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
          let place = Int.random(in: 0..<bytes.count, using: &generator)
          switch Int.random(in: 0..<3, using: &generator) {
          case 0: bytes[place] = UInt8.random(in: 0x20...0x7E, using: &generator)
          case 1: bytes.remove(at: place)
          default: bytes.insert(marks[Int.random(in: 0..<marks.count, using: &generator)], at: place)
          }
        }
        try folder.write(bytes, to: "tokenizer.json")
        guard let tokenizer = try? Tokenizer(folder: folder.path) else { continue }
        opened += 1
        for text in texts.prefix(12) {
          let ids = tokenizer.encode(text, addSpecial: true, parseSpecial: true)
          #expect(ids.allSatisfy(tokenizer.vocabulary.contains))
          #expect(isSame(streamed(tokenizer, ids, skipSpecial: false), tokenizer.decode(ids, skipSpecial: false)))
        }
      }
    }
    #expect(opened > 100)
  }

  /// GGUF metadata with one thing wrong, and what is said about it.
  @Test(arguments: GGUFCase.all) func brokenMetadata(_ row: GGUFCase) throws {
    var metadata = row.model == "llama" ? GGUFCase.scored : GGUFCase.ranked
    metadata["tokenizer.ggml.\(row.key)"] = row.value
    do throws(TokenizerError) {
      _ = try Tokenizer(metadata: metadata, location: "f.gguf")
      Issue.record("it opens")
    } catch {
      #expect(error.description == row.expected)
    }
  }
}

/// One broken GGUF vocabulary.
struct GGUFCase: Sendable, CustomTestStringConvertible {
  let model: String
  let key: String
  /// nil: the key is absent.
  let value: GGUFValue?
  let expected: String
  var testDescription: String { expected }

  init(_ model: String, _ key: String, _ value: GGUFValue?, _ expected: String) {
    self.model = model
    self.key = key
    self.value = value
    self.expected = "f.gguf: " + expected
  }

  static let scored: [String: GGUFValue] = [
    "tokenizer.ggml.model": .string("llama"), "tokenizer.ggml.tokens": .strings(["<unk>", "<s>", "</s>", "a", "b", "ab"]),
    "tokenizer.ggml.scores": .floats([0, 0, 0, -1, -2, -3]), "tokenizer.ggml.token_type": .integers([2, 3, 3, 1, 1, 1]),
  ]
  static let ranked: [String: GGUFValue] = [
    "tokenizer.ggml.model": .string("gpt2"), "tokenizer.ggml.pre": .string("gpt-2"),
    "tokenizer.ggml.tokens": .strings(["a", "b", "ab"]), "tokenizer.ggml.merges": .strings(["a b"]),
  ]

  static let all = [
    GGUFCase("llama", "model", nil, "tokenizer.ggml.model is missing"),
    GGUFCase("llama", "model", .unsigned(1), "tokenizer.ggml.model: expected a string, found 1"),
    GGUFCase(
      "llama", "model", .string("rwkv"),
      "tokenizer.ggml.model: tokenizer model \"rwkv\" is not supported; expected one of llama, gpt2, t5, bert"),
    GGUFCase("llama", "tokens", nil, "tokenizer.ggml.tokens is missing"),
    GGUFCase("llama", "tokens", .strings([]), "tokenizer.ggml.tokens: expected between 1 and 2^31 - 2 tokens, found 0"),
    GGUFCase(
      "llama", "tokens", .integers([1]), "tokenizer.ggml.tokens: expected an array of strings, found an array of 1 integers"),
    GGUFCase(
      "llama", "tokens", .strings(["<unk>", "<s>", "</s>", "a", "b", "a"]),
      "tokenizer.ggml.tokens: expected every token once, found \"a\" as 3 and as 5"),
    GGUFCase("llama", "scores", nil, "tokenizer.ggml.scores is missing"),
    GGUFCase(
      "llama", "scores", .floats([1, 2]), "tokenizer.ggml.scores: expected 6 scores, one per token, found 2"),
    GGUFCase(
      "llama", "scores", .floats([0, 0, 0, .nan, 1, 2]),
      "tokenizer.ggml.scores: expected a number for token 3, found NaN"),
    GGUFCase(
      "llama", "token_type", .integers([1]), "tokenizer.ggml.token_type: expected 6 types, one per token, found 1"),
    GGUFCase(
      "llama", "token_type", .integers([2, 3, 3, 1, 1, 7]),
      "tokenizer.ggml.token_type: expected a type from 1 to 6 for token 5, found 7"),
    GGUFCase("llama", "bos_token_id", .unsigned(6), "tokenizer.ggml.bos_token_id: expected an id below 6, found 6"),
    GGUFCase("llama", "eot_token_id", .signed(-2), "tokenizer.ggml.eot_token_id: expected an id below 6, found -2"),
    GGUFCase(
      "llama", "add_bos_token", .string("yes"), "tokenizer.ggml.add_bos_token: expected a bool, found \"yes\""),
    GGUFCase(
      "gpt2", "add_eos_token", .bool(true), "tokenizer.ggml.eos_token_id is missing"),
    GGUFCase("gpt2", "merges", nil, "tokenizer.ggml.merges is missing"),
    GGUFCase(
      "gpt2", "merges", .strings(["a b", "b a"]),
      "tokenizer.ggml.merges[1]: expected pieces of the vocabulary, found \"ba\""),
    GGUFCase(
      "gpt2", "merges", .strings(["ab"]),
      "tokenizer.ggml.merges[0]: expected two pieces with a space between them, found \"ab\""),
    GGUFCase(
      "gpt2", "pre", .string("klingon"),
      "tokenizer.ggml.pre: pre-tokenizer \"klingon\" is not supported; expected one of gpt-2, phi-2, mpt, olmo, jais, jina-es, jina-de, "
        + "jina-v2-es, jina-v2-de, gigachat, a.x-4.0, mellum, modern-bert, exaone4, trillion, granite-docling, starcoder, refact, "
        + "command-r, smollm, codeshell, exaone, minerva-7b, mellum2, llama-bpe, llama-v3, llama3, falcon3, falcon-h1, pixtral, "
        + "midm-2.0, lfm2, jina-v5-nano, dbrx, smaug-bpe, glm4, chatglm-bpe, jais-2, qwen2, stablelm2, megrez, deepseek-r1-qwen, "
        + "kormo, f2llmv2, hunyuan, solar-open, grok-2, qwen35, ufakzeka, laguna, minicpm5, seed-coder, bailingmoe, bailingmoe2, "
        + "llada-moe, exaone-moe, falcon, default, deepseek-llm, deepseek-coder, deepseek-v3, hunyuan-dense, joyai-llm, hy_v4, "
        + "spark2_5, afmoe, youtu, tekken, gpt-4o, llama4, kanana2, talkie, minimax-m2, granite-embed-multi-97m, tiny_aya, "
        + "cohere2moe, kimi-k2, superbpe, poro-chat, bloom, gpt3-finnish, viking, chameleon"
    ),
  ]
}
