// SPDX-License-Identifier: Apache-2.0

internal import CUTF8Proc

/// Normalizers that look at one character at a time.
extension Normalizer {
  /// BERT's cleaning (`BertNormalizer` of tokenizer.json): its steps, in this order.
  struct Bert: Sendable {
    /// Control characters go, every white space is a space.
    var cleans: Bool
    /// Spaces around ideographs.
    var separatesIdeographs: Bool
    /// Canonical decomposition, and nonspacing marks go.
    var stripsAccents: Bool
    var lowercases: Bool

    func apply(to text: inout [UInt8]) {
      if cleans { text = text.mappingCharacters(Self.clean) }
      if separatesIdeographs {
        text = text.mappingCharacters { scalar, result in
          if Self.isIdeograph(scalar) { result += [0x20] + Array(String(scalar).utf8) + [0x20] } else { result.append(scalar) }
        }
      }
      if stripsAccents {
        Normalizer.form(.nfd).apply(to: &text)
        text = text.mappingCharacters { scalar, result in
          if scalar.properties.generalCategory != .nonspacingMark { result.append(scalar) }
        }
      }
      if lowercases { Normalizer.lowercase.apply(to: &text) }
    }

    private static func clean(_ scalar: Unicode.Scalar, _ result: inout [UInt8]) {
      if scalar.properties.isWhitespace && (scalar.value >= 0xA0 || [0x20, 0x09, 0x0A, 0x0D].contains(scalar.value)) {
        result.append(0x20)
        return
      }
      switch scalar.properties.generalCategory {
      case .control, .format, .privateUse: return
      default: if scalar != "\u{FFFD}" { result.append(scalar) }
      }
    }

    /// The blocks that BERT calls Chinese; U+2B820 ... U+2B91F are left out in `tokenizers`, and so here.
    private static func isIdeograph(_ scalar: Unicode.Scalar) -> Bool {
      switch scalar.value {
      case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x2A6DF, 0x2A700...0x2B81F, 0x2B920...0x2CEAF,
        0x2F800...0x2FA1F:
        true
      default: false
      }
    }
  }

  /// Removes marks (general categories Mn, Mc, Me, in the tables of Unicode 9).
  static func stripAccents(_ text: inout [UInt8]) {
    text = text.mappingCharacters { scalar, result in
      switch scalar.properties.generalCategory {
      case .nonspacingMark, .spacingMark, .enclosingMark: if isLater(scalar) { result.append(scalar) }
      default: result.append(scalar)
      }
    }
  }

  /// What translation models clean (SentencePiece's "nmt" rules): control characters go, odd spaces are spaces.
  static func cleanForTranslation(_ text: inout [UInt8]) {
    text = text.mappingCharacters { scalar, result in
      switch scalar.value {
      case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: break
      case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD: result.append(0x20)
      default: result.append(scalar)
      }
    }
  }

  static func lowercase(_ text: inout [UInt8]) {
    text = text.mappingCharacters { scalar, result in
      // The one letter whose lower case is two characters (SpecialCasing.txt, unconditional); utf8proc maps one to one.
      if scalar == "\u{130}" {
        result += "i\u{307}".utf8
      } else {
        result.append(Unicode.Scalar(UInt32(bitPattern: utf8proc_tolower(Int32(bitPattern: scalar.value)))) ?? scalar)
      }
    }
  }
}

extension Array<UInt8> {
  /// Appends a character in UTF-8.
  mutating func append(_ scalar: Unicode.Scalar) {
    if scalar.value < 0x80 { append(UInt8(scalar.value)) } else { append(contentsOf: UTF8.encode(scalar) ?? .init()) }
  }

  /// This text (valid UTF-8) with every character rewritten by `body`.
  func mappingCharacters(_ body: (Unicode.Scalar, inout [UInt8]) -> Void) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(count)
    var index = 0
    while index < count {
      let end = Swift.min(count, index + utf8Length(lead: self[index]))
      if let scalar = firstScalar(of: span.extracting(index..<end)) { body(scalar, &result) }
      index = end
    }
    return result
  }
}
