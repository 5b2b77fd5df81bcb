// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftTokenizers

/// The expected ids and texts under Tests/Goldens/tokenizers, read by Foundation: cJSON cuts texts at U+0000.
enum TokenizerGolden {
  typealias Object = [String: Any]

  static func object(_ path: String) throws -> Object {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    return try #require(try JSONSerialization.jsonObject(with: data) as? Object)
  }

  static func file(_ name: String) throws -> Object { try object(TestPaths.goldens + "/tokenizers/" + name) }

  /// Rows of ids.
  static func ids(_ value: Any?) throws -> [[Int32]] {
    try #require(value as? [[Int]]).map { $0.map(Int32.init) }
  }

  /// Writes a tokenizer.json of these members and opens its folder.
  static func tokenizer(_ members: Object, in folder: TemporaryFolder) throws -> Tokenizer {
    let data = try JSONSerialization.data(withJSONObject: members)
    try folder.write(data, to: "tokenizer.json")
    return try Tokenizer(folder: folder.path)
  }
}

/// Byte-wise equality: `==` on strings is canonical equivalence.
func isSame(_ text: String, _ other: String) -> Bool { text.utf8.elementsEqual(other.utf8) }

/// What the tokens of `ids` stream to, one id at a time.
func streamed(_ tokenizer: Tokenizer, _ ids: [Int32], skipSpecial: Bool) -> String {
  var stream = StreamingDetokenizer(tokenizer, skipSpecial: skipSpecial)
  return ids.map { stream.append($0) }.joined() + stream.finish()
}
