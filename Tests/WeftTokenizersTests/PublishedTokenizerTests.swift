// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftTokenizers

/// Tokenizers as published, against the `tokenizers` package.
@Suite(.needsSharedData) struct PublishedTokenizerTests {
  @Test(arguments: ["llama2", "phi3-v", "smollm"])
  func folder(name: String) throws {
    try agreesWithReference(name, try Tokenizer(folder: TestPaths.sharedData("tokenizers/\(name)")))
  }

  @Test func ggufFile() throws {
    try agreesWithReference("stories260K", try PublishedTokenizers.gguf("models/stories260K/stories260K-F16.gguf"))
  }

  private func agreesWithReference(_ name: String, _ tokenizer: Tokenizer) throws {
    let golden = try TokenizerGolden.file("published.json")
    let texts = try #require(golden["texts"] as? [String])
    let rows = try #require((golden["tokenizers"] as? TokenizerGolden.Object)?[name] as? TokenizerGolden.Object)
    let plain = try TokenizerGolden.ids(rows["plain"])
    let special = try TokenizerGolden.ids(rows["special"])
    let decodedPlain = try #require(rows["decodedPlain"] as? [String])
    let decodedSpecial = try #require(rows["decodedSpecial"] as? [String])
    #expect(texts.count > 200 && texts.count == plain.count && texts.count == special.count)
    for (index, text) in texts.enumerated() {
      #expect(
        tokenizer.encode(text, addSpecial: false, parseSpecial: false) == plain[index], "\(name): \(text.debugDescription)")
      #expect(
        tokenizer.encode(text, addSpecial: true, parseSpecial: true) == special[index], "\(name): \(text.debugDescription)")
      #expect(
        isSame(tokenizer.decode(plain[index], skipSpecial: false), decodedPlain[index]), "\(name): \(text.debugDescription)")
      #expect(
        isSame(tokenizer.decode(special[index], skipSpecial: true), decodedSpecial[index]), "\(name): \(text.debugDescription)")
    }
    let decodedRandom = try #require(rows["decodedRandom"] as? [String])
    for (ids, text) in zip(try TokenizerGolden.ids(rows["random"]), decodedRandom) {
      #expect(isSame(tokenizer.decode(ids, skipSpecial: false), text), "\(name): \(ids)")
      #expect(isSame(streamed(tokenizer, ids, skipSpecial: false), text), "\(name): \(ids)")
    }
  }
}
