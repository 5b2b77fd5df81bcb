// SPDX-License-Identifier: Apache-2.0

/// Text to token ids and back, for one model. Immutable: any number of threads may use one object.
///
/// encode: added tokens are found, the text between them is normalized, cut into words, and every word becomes pieces.
/// decode: every id has bytes; together they are the text. See `StreamingDetokenizer` for ids that arrive one by one.
package final class Tokenizer: Sendable {
  /// Ids, pieces, and the ids with a task.
  package let vocabulary: Vocabulary
  /// The model's chat templates (Jinja) by name; the one for all is "default".
  package let chatTemplates: [String: String]
  /// Ids put before and behind a text when `addSpecial` is asked for.
  package let prefix: [Int32]
  package let suffix: [Int32]

  let texts: TokenTexts
  let pipeline: EncodingPipeline

  init(
    vocabulary: Vocabulary, pipeline: EncodingPipeline, texts: TokenTexts, prefix: [Int32], suffix: [Int32],
    chatTemplates: [String: String]
  ) {
    self.vocabulary = vocabulary
    self.pipeline = pipeline
    self.texts = texts
    self.prefix = prefix
    self.suffix = suffix
    self.chatTemplates = chatTemplates
  }

  /// The template for a conversation, when the files have one: with tools the one named "tool_use", if there is one, as in
  /// transformers.
  package func chatTemplate(withTools: Bool) -> String? {
    (withTools ? chatTemplates["tool_use"] : nil) ?? chatTemplates["default"]
  }

  /// The template for a conversation without tools.
  package var chatTemplate: String? { chatTemplate(withTools: false) }

  /// The number of ids.
  package var vocabularySize: Int { vocabulary.count }
  package var beginToken: Int32? { vocabulary.beginToken }
  package var endToken: Int32? { vocabulary.endToken }
  package var unknownToken: Int32? { vocabulary.unknownToken }
  package var paddingToken: Int32? { vocabulary.paddingToken }
  /// Ids after which generation stops.
  package var endTokens: Set<Int32> { vocabulary.endTokens }

  /// Control tokens and the like: what `skipSpecial` leaves out of a text. False outside the vocabulary.
  package func isSpecial(_ id: Int32) -> Bool {
    switch vocabulary.kind(of: id) {
    case .control, .unknown: true
    default: false
    }
  }

  /// The id of a piece in its file's spelling, or nil.
  package func id(of piece: String) -> Int32? { vocabulary.id(of: piece) }

  /// The bytes of one token as they stand in the middle of a text: not always whole characters. Empty outside the vocabulary.
  package func bytes(of id: Int32) -> [UInt8] { Array(texts[id]) }

  /// The ids of a text. `addSpecial` puts the model's `prefix` and `suffix` around them; `parseSpecial` reads spellings of
  /// special tokens as those tokens (for templates), otherwise they are text like any other (for what users write).
  package func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool) -> [Int32] {
    var ids: [Int32] = addSpecial ? prefix : []
    pipeline.encode(text, parsesSpecial: parseSpecial, into: &ids)
    if addSpecial { ids += suffix }
    return ids
  }

  /// The text of ids: their bytes together, with U+FFFD for bytes that are no character. `skipSpecial` leaves special tokens
  /// out. Ids outside the vocabulary have no text.
  package func decode(_ ids: [Int32], skipSpecial: Bool) -> String {
    var stream = StreamingDetokenizer(self, skipSpecial: skipSpecial)
    var text = ""
    for id in ids { text += stream.append(id) }
    return text + stream.finish()
  }
}
