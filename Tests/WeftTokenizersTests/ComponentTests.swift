// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTokenizers

/// Every kind of component of tokenizer.json with its options, over tiny vocabularies, against the `tokenizers` package.
struct ComponentTests {
  @Test func everyComponentAgreesWithReference() throws {
    let golden = try TokenizerGolden.file("components.json")
    let texts = try #require(golden["texts"] as? [String])
    let models = try #require(golden["models"] as? [String: TokenizerGolden.Object])
    let cases = try #require(golden["cases"] as? [TokenizerGolden.Object])
    #expect(cases.count > 80)
    let folder = try TemporaryFolder()
    for row in cases {
      let name = try #require(row["name"] as? String)
      let flags = try #require(row["flags"] as? TokenizerGolden.Object)
      let base = try #require(row["model"] as? String)
      let model = try #require(models[base]).merging(flags) { $1 }
      let parts = try #require(row["parts"] as? TokenizerGolden.Object)
      let tokenizer = try TokenizerGolden.tokenizer(parts.merging(["model": model]) { $1 }, in: folder)
      let plain = try TokenizerGolden.ids(row["plain"])
      let special = try TokenizerGolden.ids(row["special"])
      let decoded = try #require(row["decoded"] as? [Any])
      for (index, chosen) in try #require(row["texts"] as? [Int]).enumerated() {
        let text = texts[chosen]
        let specialIDs = special[index].isEmpty ? plain[index] : special[index]
        #expect(
          tokenizer.encode(text, addSpecial: false, parseSpecial: false) == plain[index], "\(name): \(text.debugDescription)")
        #expect(
          tokenizer.encode(text, addSpecial: true, parseSpecial: true) == specialIDs, "\(name): \(text.debugDescription)")
        guard decoded[index] is String || decoded[index] is Int else { continue }
        let expected = decoded[index] as? String ?? text
        #expect(isSame(tokenizer.decode(specialIDs, skipSpecial: true), expected), "\(name): \(text.debugDescription)")
        #expect(isSame(streamed(tokenizer, specialIDs, skipSpecial: true), expected), "\(name): \(text.debugDescription)")
      }
    }
  }
}
