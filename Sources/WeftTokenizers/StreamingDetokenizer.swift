// SPDX-License-Identifier: Apache-2.0

/// Ids in, text out, one id at a time, without ever cutting a character.
///
/// Bytes that do not yet make a character wait for the next id. Bytes that never make one become U+FFFD, one for each
/// maximal part of a character (as Python's `errors="replace"` and the Unicode standard have it).
/// The texts of all `append` and of `finish` together are exactly what `Tokenizer.decode` returns for the ids together.
package struct StreamingDetokenizer: Sendable {
  private let tokenizer: Tokenizer
  private let skipsSpecial: Bool
  /// Bytes of a character that is not complete, or characters that may be stripped from the end.
  private var pending: [UInt8] = []
  private var isFirst: Bool
  /// How many more times the strip content may go from the beginning.
  private var leftToStrip: Int
  /// The id before, where neighbouring equal ones are one.
  private var previous: Int32?
  /// The id that waits to hear whether it is the last, where that makes a difference.
  private var waiting: Int32?

  /// `continuing`: the text goes on behind another one, so that the space of a first word is kept.
  package init(_ tokenizer: Tokenizer, skipSpecial: Bool, continuing: Bool = false) {
    self.tokenizer = tokenizer
    skipsSpecial = skipSpecial
    isFirst = !continuing
    leftToStrip = continuing ? 0 : tokenizer.texts.strip?.left ?? 0
  }

  /// The text that this id completes; often one word, sometimes nothing. Ids outside the vocabulary have no text.
  package mutating func append(_ id: Int32) -> String {
    guard tokenizer.vocabulary.contains(id), !tokenizer.vocabulary.pieces[id].isEmpty else { return "" }
    if skipsSpecial && tokenizer.isSpecial(id) { return "" }
    let texts = tokenizer.texts
    if texts.joinsRepeated {
      defer { previous = id }
      if previous == id { return "" }
    }
    guard texts.distinguishesLast else { return emit(id, isLast: false) }
    defer { waiting = id }
    return waiting.map { emit($0, isLast: false) } ?? ""
  }

  private mutating func emit(_ id: Int32, isLast: Bool) -> String {
    let texts = tokenizer.texts
    if isLast || (isFirst && texts.distinguishesFirst) {
      let place = TokenTexts.Place(isFirst: isFirst, isLast: isLast)
      pending += TokenTexts.text(of: Array(tokenizer.vocabulary.pieces[id]), place, texts.steps)
    } else {
      if !isFirst { pending += texts.separator }
      pending += texts[id]
    }
    isFirst = false
    if leftToStrip > 0 { stripLeft() }
    return UTF8Repair.take(&pending, keeping: texts.strip?.right ?? 0, of: texts.strip?.content ?? [], isLast: false)
  }

  /// What was held back; the end of the text.
  package mutating func finish() -> String {
    var text = ""
    if let last = waiting {
      waiting = nil
      text = emit(last, isLast: true)
    }
    if let strip = tokenizer.texts.strip {
      for _ in 0..<strip.right where pending.matches(strip.content, at: pending.count - strip.content.count) {
        pending.removeLast(strip.content.count)
      }
    }
    return text + UTF8Repair.take(&pending, keeping: 0, of: [], isLast: true)
  }

  private mutating func stripLeft() {
    guard let content = tokenizer.texts.strip?.content else { return }
    while leftToStrip > 0, pending.matches(content, at: 0) {
      pending.removeFirst(content.count)
      leftToStrip -= 1
    }
    // Anything else at the beginning, except the content's own first bytes, ends the stripping.
    if !pending.isEmpty, !content.starts(with: pending) { leftToStrip = 0 }
  }
}

/// From bytes that may be cut or wrong to text.
enum UTF8Repair {
  /// Takes all that is decided from the front of `bytes`: whole characters, and U+FFFD for what can become none.
  /// What stays: the beginning of a character, and up to `count` times `content` at the end. `isLast`: nothing stays.
  static func take(_ bytes: inout [UInt8], keeping count: Int, of content: [UInt8], isLast: Bool) -> String {
    var end = bytes.count
    for _ in 0..<count where bytes.matches(content, at: end - content.count) { end -= content.count }
    var result: [UInt8] = []
    result.reserveCapacity(end)
    var index = 0
    while index < end {
      let (length, isValid, isCut) = character(bytes, index..<end)
      if isCut, !isLast { break }
      if isValid {
        result.append(contentsOf: bytes[index..<index + length])
      } else {
        result.append(contentsOf: [0xEF, 0xBF, 0xBD])
      }
      index += length
    }
    bytes.removeFirst(index)
    return String(decoding: result, as: UTF8.self)
  }

  /// The character at the start of a range (Unicode, table 3-7), or the longest beginning of one (at least a byte).
  /// `isCut`: more bytes could still make it a character.
  private static func character(_ bytes: [UInt8], _ range: Range<Int>) -> (length: Int, isValid: Bool, isCut: Bool) {
    let lead = bytes[range.lowerBound]
    if lead < 0x80 { return (1, true, false) }
    guard (0xC2...0xF4).contains(lead) else { return (1, false, false) }
    let count = utf8Length(lead: lead)
    for offset in 1..<count {
      let index = range.lowerBound + offset
      guard index < range.upperBound else { return (offset, false, true) }
      var allowed: ClosedRange<UInt8> = 0x80...0xBF
      if offset == 1 {
        switch lead {
        case 0xE0: allowed = 0xA0...0xBF
        case 0xED: allowed = 0x80...0x9F
        case 0xF0: allowed = 0x90...0xBF
        case 0xF4: allowed = 0x80...0x8F
        default: break
        }
      }
      guard allowed.contains(bytes[index]) else { return (offset, false, false) }
    }
    return (count, true, false)
  }
}
