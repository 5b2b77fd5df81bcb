// SPDX-License-Identifier: Apache-2.0

internal import CUTF8Proc

/// One rewriting of a text before it is cut into words. Steps run in order.
enum Normalizer: Sendable {
  /// Puts a text before every text that is not empty.
  case prepend([UInt8])
  /// Replaces every occurrence of a text.
  case replace([UInt8], with: [UInt8])
  /// Replaces every match of an expression.
  case replaceMatches(TextPattern, with: [UInt8])
  /// A Unicode normalization form (UAX 15).
  case form(UnicodeForm)
  case lowercase
  /// Removes white space at the ends.
  case strip(left: Bool, right: Bool)
  case bert(Bert)
  /// Removes marks.
  case stripAccents
  /// No spaces (U+0020) at the ends, and one where there were more.
  case collapseSpaces
  /// SentencePiece's cleaning for translation.
  case nmt
  /// Removes a text from the end as often as it is there.
  case trimEnd([UInt8])
  case characterMap(CharacterMap)
  /// Spells every byte as the character that stands for it.
  case byteLevel(ByteAlphabet)

  enum UnicodeForm: String, Sendable, CaseIterable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"
  }

  /// Rewrites `text`, valid UTF-8 before and after.
  func apply(to text: inout [UInt8]) {
    switch self {
    case .prepend(let prefix):
      if !text.isEmpty { text.insert(contentsOf: prefix, at: 0) }
    case .replace(let pattern, let content):
      text = text.replacing(pattern, with: content)
    case .replaceMatches(let pattern, let content):
      let source = text
      let span = source.span
      var result: [UInt8] = []
      var end = 0
      pattern.matches(in: span, 0..<source.count) { match in
        result.append(span.extracting(end..<match.lowerBound))
        result.append(contentsOf: content)
        end = match.upperBound
      }
      result.append(span.extracting(end..<source.count))
      text = result
    case .form(let form):
      // ASCII is in every form already.
      if text.contains(where: { $0 >= 0x80 }) { text = Self.normalizedByOldTables(text, form) }
    case .lowercase:
      Self.lowercase(&text)
    case .strip(let left, let right):
      Self.strip(&text, left: left, right: right)
    case .bert(let bert): bert.apply(to: &text)
    case .stripAccents: Self.stripAccents(&text)
    case .collapseSpaces:
      text = Array(text.split(separator: 0x20).joined(separator: [0x20]))
    case .nmt: Self.cleanForTranslation(&text)
    case .trimEnd(let end):
      while text.matches(end, at: text.count - end.count) { text.removeLast(end.count) }
    case .characterMap(let map): map.apply(to: &text)
    case .byteLevel(let alphabet):
      var result: [UInt8] = []
      alphabet.spell(text.span, into: &result)
      text = result
    }
  }

  /// `tokenizers` has the tables of Unicode 9, and models have been trained behind them: characters of later versions are no marks,
  /// combine with nothing and keep marks apart.
  private static func normalizedByOldTables(_ text: [UInt8], _ form: UnicodeForm) -> [UInt8] {
    var result: [UInt8] = []
    var start = 0
    var index = 0
    while index < text.count {
      let end = min(text.count, index + utf8Length(lead: text[index]))
      // Every character of one byte is as old as Unicode.
      if end - index > 1, let scalar = firstScalar(of: text.span.extracting(index..<end)), isLater(scalar) {
        result += normalized(Array(text[start..<index]), form) + text[index..<end]
        start = end
      }
      index = end
    }
    return start == 0 ? normalized(text, form) : result + normalized(Array(text[start...]), form)
  }

  /// Whether Unicode 9 did not have this character.
  static func isLater(_ scalar: Unicode.Scalar) -> Bool {
    guard let age = scalar.properties.age else { return true }
    return age.major > 9
  }

  private static func normalized(_ text: [UInt8], _ form: UnicodeForm) -> [UInt8] {
    let options: UInt32 =
      switch form {
      case .nfc: UTF8PROC_STABLE.rawValue | UTF8PROC_COMPOSE.rawValue
      case .nfd: UTF8PROC_STABLE.rawValue | UTF8PROC_DECOMPOSE.rawValue
      case .nfkc: UTF8PROC_STABLE.rawValue | UTF8PROC_COMPOSE.rawValue | UTF8PROC_COMPAT.rawValue
      case .nfkd: UTF8PROC_STABLE.rawValue | UTF8PROC_DECOMPOSE.rawValue | UTF8PROC_COMPAT.rawValue
      }
    var result: UnsafeMutablePointer<UInt8>?
    let count = text.withUnsafeBufferPointer {
      utf8proc_map($0.baseAddress, $0.count, &result, utf8proc_option_t(rawValue: options))
    }
    // It fails on invalid UTF-8, which a string does not hold, and without memory: then the text stays as it is.
    guard let result, count >= 0 else { return text }
    defer { free(result) }
    return Array(UnsafeBufferPointer(start: result, count: count))
  }

  private static func strip(_ text: inout [UInt8], left: Bool, right: Bool) {
    var range = 0..<text.count
    if right {
      while let scalar = lastScalar(of: text.span.extracting(range)), scalar.properties.isWhitespace {
        range = range.lowerBound..<range.upperBound - UTF8.width(scalar)
      }
    }
    if left {
      while let scalar = firstScalar(of: text.span.extracting(range)), scalar.properties.isWhitespace {
        range = range.lowerBound + UTF8.width(scalar)..<range.upperBound
      }
    }
    text = Array(text[range])
  }
}
