// SPDX-License-Identifier: Apache-2.0

extension Jinja.Lexer {
  /// The string literal at `position`, its Python escapes resolved; nil when it does not end.
  mutating func lexString() -> String? {
    let quote = peek
    advance()
    var text = String.UnicodeScalarView()
    while let scalar = peek {
      advance()
      if scalar == quote { return String(text) }
      if scalar == "\\" {
        guard let escaped = peek else { return nil }
        advance()
        appendEscape(escaped, to: &text)
      } else {
        text.append(scalar)
      }
    }
    return nil
  }

  /// Python's escapes; an unknown one stands for itself, backslash included.
  private mutating func appendEscape(_ escaped: Unicode.Scalar, to text: inout String.UnicodeScalarView) {
    switch escaped {
    case "\n": break
    case "\\", "'", "\"": text.append(escaped)
    case "n": text.append("\n")
    case "t": text.append("\t")
    case "r": text.append("\r")
    case "a": text.append("\u{07}")
    case "b": text.append("\u{08}")
    case "f": text.append("\u{0C}")
    case "v": text.append("\u{0B}")
    case "x", "u", "U":
      let count = escaped == "x" ? 2 : escaped == "u" ? 4 : 8
      if let code = digits(radix: 16, exactly: count), let scalar = Unicode.Scalar(code) ?? surrogatePair(code) {
        text.append(scalar)
      } else {
        text.append("\\")
        text.append(escaped)
      }
    case "0"..."7":
      var value = escaped.value - 48
      for _ in 0..<2 {
        guard let next = peek, ("0"..."7").contains(next) else { break }
        value = value * 8 + next.value - 48
        advance()
      }
      if let scalar = Unicode.Scalar(value) { text.append(scalar) }
    default:
      text.append("\\")
      text.append(escaped)
    }
  }

  /// Exactly `count` hexadecimal digits at `position`, consumed; nil (and nothing consumed) when there are fewer.
  private mutating func digits(radix: UInt32, exactly count: Int) -> UInt32? {
    guard position + count <= scalars.count else { return nil }
    var value: UInt32 = 0
    for scalar in scalars[position..<position + count] {
      guard let digit = Character(scalar).hexDigitValue, scalar.isASCII else { return nil }
      value = value &* radix &+ UInt32(digit)
    }
    advance(count)
    return value
  }

  /// The scalar of a high surrogate followed by `\uDC00`...`\uDFFF`, as JSON-minded authors write it.
  private mutating func surrogatePair(_ high: UInt32) -> Unicode.Scalar? {
    let start = position
    guard (0xD800...0xDBFF).contains(high), peek == "\\" else { return nil }
    advance()
    guard peek == "u" else {
      position = start
      return nil
    }
    advance()
    guard let low = digits(radix: 16, exactly: 4), (0xDC00...0xDFFF).contains(low) else {
      position = start
      return nil
    }
    return Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
  }
}

extension Unicode.Scalar {
  /// What Python's `str.isspace` and its regular expressions call whitespace: Unicode's, and the four separators U+001C to U+001F.
  var isPythonSpace: Bool { (0x1C...0x1F).contains(value) || properties.isWhitespace }

  var isDigit: Bool { ("0"..."9").contains(self) }
}
