// SPDX-License-Identifier: Apache-2.0

/// One entry of `added_tokens` of tokenizer.json.
struct AddedTokenEntry {
  let token: AddedToken
  /// Found in the normalized text, by its normalized content.
  let isNormalized: Bool
  let location: String

  init(_ token: AddedToken, isNormalized: Bool, location: String) {
    self.token = token
    self.isNormalized = isNormalized
    self.location = location
  }

  init(_ node: JSONNode) throws(TokenizerError) {
    let id = try node.required("id").int()
    guard let number = Int32(exactly: id), number >= 0 else {
      throw try node.required("id").mismatch("an id that is not negative")
    }
    try self.init(node, id: number)
  }

  /// An entry of `added_tokens_decoder`, whose key is the id.
  init(_ node: JSONNode, id number: Int32) throws(TokenizerError) {
    token = AddedToken(
      id: number, content: try node.text("content"), isSpecial: try node.bool("special", default: false),
      stripsLeft: try node.bool("lstrip", default: false), stripsRight: try node.bool("rstrip", default: false),
      isSingleWord: try node.bool("single_word", default: false))
    isNormalized = try node.bool("normalized", default: !token.isSpecial)
    location = node.location
  }
}

extension EncodingPipeline {
  /// Makes added tokens known. Of two that are found by the same bytes, special ones come first.
  mutating func insert(_ entries: [AddedTokenEntry]) {
    for entry in entries.filter(\.token.isSpecial) + entries.filter({ !$0.token.isSpecial }) {
      if entry.isNormalized {
        normalizedAddedTokens.insert(entry.token, pattern: normalize(entry.token.content))
      } else {
        addedTokens.insert(entry.token, pattern: entry.token.content)
      }
    }
  }
}
