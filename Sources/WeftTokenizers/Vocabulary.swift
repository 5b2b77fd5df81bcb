// SPDX-License-Identifier: Apache-2.0

/// What the ids mean: the pieces in their file's spelling, their kinds, and the ids with a task.
package struct Vocabulary: Sendable {
  /// What a token is for. Raw values are those of `tokenizer.ggml.token_type`.
  package enum Kind: UInt8, Sendable {
    /// A piece of text that the model's merges can produce.
    case normal = 1
    /// Stands for what the vocabulary cannot spell.
    case unknown = 2
    /// Control: begin, end, roles. Matched in text only when asked for, and left out of decoded text when asked for.
    case control = 3
    /// Added by the makers and matched in text before any merge.
    case userDefined = 4
    /// An id that nothing produces.
    case unused = 5
    /// One raw byte, spelled `<0xNN>`.
    case byte = 6
  }

  let pieces: PieceTable
  let kinds: [Kind]
  /// Ids of added tokens by content: those that the model's own pieces do not have.
  let addedIDs: [[UInt8]: Int32]
  /// The id put before a text (`<s>`, `<|begin_of_text|>`), when the tokenizer has one.
  package internal(set) var beginToken: Int32?
  /// The id that ends a text (`</s>`).
  package internal(set) var endToken: Int32?
  /// The id for text that no piece spells.
  package internal(set) var unknownToken: Int32?
  package internal(set) var paddingToken: Int32?
  /// Every id after which generation stops: the end token and the ends of a turn (`<|eot_id|>`, `<|im_end|>`, ...).
  package internal(set) var endTokens: Set<Int32> = []

  init(pieces: PieceTable, kinds: [Kind], addedIDs: [[UInt8]: Int32] = [:]) {
    self.pieces = pieces
    self.kinds = kinds
    self.addedIDs = addedIDs
  }

  /// The number of ids, holes included. Pieces are numbered below it.
  package var count: Int { pieces.count }

  /// Whether this is an id of the vocabulary.
  package func contains(_ id: Int32) -> Bool { id >= 0 && Int(id) < count }

  /// What a token is for; nil outside the vocabulary.
  package func kind(of id: Int32) -> Kind? { contains(id) ? kinds[Int(id)] : nil }

  /// The piece as its file spells it (`Ġhello`, `▁hello`, `<0x0A>`); nil outside the vocabulary and for ids without a piece.
  package func piece(of id: Int32) -> String? {
    guard contains(id), !pieces[id].isEmpty else { return nil }
    return String(decoding: pieces[id], as: UTF8.self)
  }

  /// The id of a piece in its file's spelling; nil when there is none.
  package func id(of piece: String) -> Int32? {
    let bytes = Array(piece.utf8)
    return addedIDs[bytes] ?? pieces.id(of: bytes.span)
  }

  /// Spellings that end a turn or a text wherever they are control or added tokens: models are published with an end token
  /// of the text only, and chat with another one.
  static let endSpellings = [
    "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|end|>", "<|endoftext|>", "<|return|>", "<|call|>",
    "<end_of_turn>", "<end_of_utterance>", "<EOT>", "<|END_OF_TURN_TOKEN|>", "<｜end▁of▁sentence｜>",
  ]

  /// Completes `endTokens`: the end token, `others`, and every added token of a spelling that ends a turn.
  mutating func collectEndTokens(others: [Int32?] = []) {
    let spellings = Set(Self.endSpellings.map { Array($0.utf8) })
    for id in 0..<Int32(count) where kinds[Int(id)] == .control || kinds[Int(id)] == .userDefined {
      if spellings.contains(Array(pieces[id])) { endTokens.insert(id) }
    }
    for case let id? in others + [endToken] { endTokens.insert(id) }
  }
}
