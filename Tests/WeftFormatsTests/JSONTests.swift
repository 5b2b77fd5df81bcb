// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats

struct JSONTests {
  @Test func valuesKeepTheirKinds() throws {
    let json = try JSON(
      parsing: #"{"n": null, "b": true, "i": -7, "d": 1.5, "s": "é\n\\u0000", "a": [1, "x"], "o": {}}"#, location: "x")
    #expect(json["n"] == nil && json["absent"] == nil)
    #expect(json["b"]?.bool == true && json["b"]?.int == nil)
    #expect(json["i"]?.int == -7 && json["i"]?.double == -7)
    #expect(json["d"]?.double == 1.5 && json["d"]?.int == nil)
    #expect(json["s"]?.string == "é\n\\u0000")
    #expect(json["a"]?.array?.count == 2 && json["a"]?.members == nil)
    #expect(json["o"]?.isObject == true && json["o"]?.array == nil)
    #expect(json.members?.map(\.key) == ["n", "b", "i", "d", "s", "a", "o"])
  }

  @Test func integersBeyondTheRangeOfDoublesAreNoIntegers() throws {
    let json = try JSON(parsing: "[9007199254740992, 9007199254740994, 1e999, -1e999]", location: "x")
    #expect(json.array?.map(\.int) == [9_007_199_254_740_992, nil, nil, nil])
  }

  @Test func textThatIsWrittenIsReadBack() throws {
    for text in ["", "plain", "quote\" back\\ slash/", "\u{1}\u{8}\u{C}\u{1F}\n\r\t", "é ✓ 😀 \u{2028}"] {
      #expect(try JSON(parsing: JSON.text(text), location: "x").string == text)
    }
    #expect(JSON.text("a\"\n\u{1}é") == #""a\"\n\u0001é""#)
  }

  @Test func nullCharactersAreFoundBehindEscapes() {
    for (text, offset) in [(#"["\u0000"]"#, 2), (#"["\\\u0000"]"#, 4), (#"["\n\"\u0000"]"#, 6)] {
      let error = #expect(throws: FormatError.self) { try JSON(parsing: text, location: "x") }
      #expect(error?.description.contains("\\u0000 at byte \(offset)") == true)
    }
  }

  @Test func emptyTextIsAnError() {
    #expect(throws: FormatError.self) { try JSON(parsing: "", location: "x") }
    #expect(throws: FormatError.self) { try JSON(parsing: "  ", location: "x") }
  }
}
