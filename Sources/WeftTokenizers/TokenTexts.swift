// SPDX-License-Identifier: Apache-2.0

/// What ids decode to: bytes per id, computed once, and what depends on the place of a token in the text.
struct TokenTexts: Sendable {
  /// One rewriting of a single token's text.
  enum Step: Sendable {
    case replace([UInt8], with: [UInt8])
    /// `<0xNN>` is the byte NN.
    case byteFallback
    /// Characters of the byte alphabet are bytes; a token with another character stays as it is.
    case byteLevel(ByteAlphabet)
    /// The replacement is a space; `dropsFirst`: nothing in the first token.
    case metaspace(replacement: [UInt8], dropsFirst: Bool)
    case strip(Strip)
  }

  /// Up to `left` and `right` times `content` (a character, not empty) at the ends.
  struct Strip: Sendable, Equatable {
    var content: [UInt8]
    var left: Int
    var right: Int
  }

  /// Applied to every token.
  let steps: [Step]
  /// Applied to the text as a whole.
  let strip: Strip?
  /// Put between tokens; empty in all but tokenizers without a decoder.
  let separator: [UInt8]
  private var bytes: [UInt8] = []
  private var starts: [Int] = [0]

  /// Computes the text of every id. Ids in `verbatim` decode to their piece.
  init(
    _ vocabulary: Vocabulary, steps: [Step], strip: Strip? = nil, separator: [UInt8] = [], verbatim: (Int32) -> Bool
  ) {
    self.steps = steps
    self.strip = strip
    self.separator = separator
    starts.reserveCapacity(vocabulary.count + 1)
    for id in 0..<Int32(vocabulary.count) {
      let piece = Array(vocabulary.pieces[id])
      bytes.append(contentsOf: verbatim(id) ? piece : Self.text(of: piece, isFirst: false, steps))
      starts.append(bytes.count)
    }
  }

  /// The bytes of an id in the middle of a text; empty outside the vocabulary.
  subscript(id: Int32) -> ArraySlice<UInt8> {
    guard id >= 0, Int(id) < starts.count - 1 else { return [] }
    return bytes[starts[Int(id)]..<starts[Int(id) + 1]]
  }

  /// Whether a first token decodes differently from others.
  var distinguishesFirst: Bool {
    steps.contains { if case .metaspace(_, dropsFirst: true) = $0 { true } else { false } }
  }

  /// What a piece decodes to.
  static func text(of piece: [UInt8], isFirst: Bool, _ steps: [Step]) -> [UInt8] {
    var text = piece
    for step in steps {
      switch step {
      case .replace(let pattern, let content):
        text = text.replacing(pattern, with: content)
      case .byteFallback:
        if let byte = byte(spelledBy: text) { text = [byte] }
      case .byteLevel(let alphabet):
        text = alphabet.bytes(of: text) ?? text
      case .metaspace(let replacement, let dropsFirst):
        text = text.replacing(replacement, with: dropsFirst && isFirst ? [] : [0x20])
      case .strip(let strip):
        for _ in 0..<strip.left where text.matches(strip.content, at: 0) { text.removeFirst(strip.content.count) }
        for _ in 0..<strip.right where text.matches(strip.content, at: text.count - strip.content.count) {
          text.removeLast(strip.content.count)
        }
      }
    }
    return text
  }

  /// The byte of `<0xNN>`; nil for other pieces.
  static func byte(spelledBy piece: [UInt8]) -> UInt8? {
    guard piece.count == 6, piece.starts(with: [0x3C, 0x30, 0x78]), piece[5] == 0x3E else { return nil }
    return UInt8(String(decoding: piece[3..<5], as: UTF8.self), radix: 16)
  }
}
