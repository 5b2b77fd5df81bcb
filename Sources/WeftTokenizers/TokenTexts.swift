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
    /// Replaces every match of an expression.
    case replaceMatches(TextPattern, with: [UInt8])
    /// A piece goes on where it begins with `mark`; others get a space before them, except the first.
    case wordPiece(mark: [UInt8], cleansUp: Bool)
    /// The suffix ends a word: a space, and nothing in the last token.
    case wordSuffix([UInt8])
    /// Speech: neighbouring equal tokens are one, padding is nothing, a delimiter is a space.
    case alignment(padding: [UInt8], delimiter: [UInt8], cleansUp: Bool)
  }

  /// Where a token stands in a text.
  struct Place {
    var isFirst = false
    var isLast = false
  }

  /// Up to `left` and `right` times `content` (a character, not empty) at the ends.
  struct Strip: Sendable, Equatable {
    var content: [UInt8]
    var left: Int
    var right: Int

    func apply(to text: inout [UInt8]) {
      for _ in 0..<left where text.matches(content, at: 0) { text.removeFirst(content.count) }
      for _ in 0..<right where text.matches(content, at: text.count - content.count) { text.removeLast(content.count) }
    }
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
      bytes.append(contentsOf: verbatim(id) ? piece : Self.text(of: piece, Place(), steps))
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
    steps.contains {
      switch $0 {
      case .metaspace(_, dropsFirst: true), .wordPiece: true
      default: false
      }
    }
  }

  /// Whether a last token decodes differently from others.
  var distinguishesLast: Bool {
    steps.contains { if case .wordSuffix = $0 { true } else { false } }
  }

  /// Whether neighbouring equal tokens are one.
  var joinsRepeated: Bool {
    steps.contains { if case .alignment = $0 { true } else { false } }
  }

  /// What a piece decodes to.
  static func text(of piece: [UInt8], _ place: Place, _ steps: [Step]) -> [UInt8] {
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
        text = text.replacing(replacement, with: dropsFirst && place.isFirst ? [] : [0x20])
      case .strip(let strip): strip.apply(to: &text)
      case .replaceMatches(let pattern, let content):
        Normalizer.replaceMatches(pattern, with: content).apply(to: &text)
      case .wordPiece(let mark, let cleansUp):
        if !place.isFirst {
          if text.starts(with: mark) { text.removeFirst(mark.count) } else { text.insert(0x20, at: 0) }
        }
        if cleansUp { cleanUp(&text) }
      case .wordSuffix(let suffix):
        text = text.replacing(suffix, with: place.isLast ? [] : [0x20])
      case .alignment(let padding, let delimiter, let cleansUp):
        text = text.replacing(padding, with: [])
        if cleansUp {
          cleanUp(&text)
          text = text.replacing(delimiter, with: [0x20])
        }
      }
    }
    return text
  }

  /// The spaces that English does not have before punctuation and clitics, in the order in which `tokenizers` removes them.
  private static let clean: [(pattern: [UInt8], content: [UInt8])] = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
    (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ].map { (Array($0.utf8), Array($1.utf8)) }

  private static func cleanUp(_ text: inout [UInt8]) {
    guard text.contains(0x20) else { return }
    for (pattern, content) in clean { text = text.replacing(pattern, with: content) }
  }

  /// The byte of `<0xNN>`; nil for other pieces.
  static func byte(spelledBy piece: [UInt8]) -> UInt8? {
    guard piece.count == 6, piece.starts(with: [0x3C, 0x30, 0x78]), piece[5] == 0x3E else { return nil }
    return UInt8(String(decoding: piece[3..<5], as: UTF8.self), radix: 16)
  }
}
