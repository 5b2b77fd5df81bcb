// SPDX-License-Identifier: Apache-2.0

/// The way from a text to ids: added tokens are found, the text between them is normalized, cut into words, and every word
/// becomes pieces.
struct EncodingPipeline: Sendable {
  /// Found in the text as it came.
  var addedTokens = AddedTokens()
  /// Found in the normalized text.
  var normalizedAddedTokens = AddedTokens()
  var normalizers: [Normalizer] = []
  var preTokenizers: [PreTokenizer] = []
  var model: WordModel

  /// Appends the ids of `text`. Special tokens stay text unless `parsesSpecial`.
  func encode(_ text: String, parsesSpecial: Bool, into ids: inout [Int32]) {
    var workspace = WordModel.Workspace()
    let input = Array(text.utf8)
    for segment in addedTokens.segments(of: input.span, parsesSpecial: parsesSpecial) {
      if let id = segment.id {
        ids.append(id)
        continue
      }
      let normalized = normalize(Array(input[segment.range]))
      for part in normalizedAddedTokens.segments(of: normalized.span, parsesSpecial: parsesSpecial) {
        if let id = part.id {
          ids.append(id)
          continue
        }
        let startsInput = segment.range.lowerBound == 0 && part.range.lowerBound == 0
        var list = WordList(Array(normalized[part.range]), startsInput: startsInput)
        for preTokenizer in preTokenizers { preTokenizer.apply(to: &list) }
        for word in list.words {
          model.encode(list.bytes.span.extracting(word), into: &ids, workspace: &workspace)
        }
      }
    }
  }

  /// A text as the normalizers write it.
  func normalize(_ text: [UInt8]) -> [UInt8] {
    var text = text
    for normalizer in normalizers { normalizer.apply(to: &text) }
    return text
  }
}
