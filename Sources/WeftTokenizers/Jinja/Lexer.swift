// SPDX-License-Identifier: Apache-2.0

extension Jinja {
  /// Cuts a template into tokens and applies the whitespace rules: `-` strips, `+` keeps, and otherwise the newline after a tag
  /// and the blanks before one that starts its line go away (`trim_blocks`, `lstrip_blocks`).
  struct Lexer {
    private let location: String
    let scalars: [Unicode.Scalar]
    var position = 0
    private var line = 1
    private var tokens: [Token] = []
    /// Whether what was consumed last ended with a newline: then a tag that follows at once starts its line.
    private var startsLine = true

    /// - Throws: `TemplateError.limit` when the source is longer than `limits.sourceBytes`.
    init(source: String, location: String, limits: Limits) throws(TemplateError) {
      guard source.utf8.count <= limits.sourceBytes else {
        throw .limit(location: location, expected: "a template of at most \(limits.sourceBytes) bytes")
      }
      var scalars: [Unicode.Scalar] = []
      scalars.reserveCapacity(source.utf8.count)
      for scalar in source.unicodeScalars {
        if scalar == "\n", scalars.last == "\r" {
          scalars[scalars.count - 1] = "\n"
        } else {
          scalars.append(scalar)
        }
      }
      for index in scalars.indices where scalars[index] == "\r" { scalars[index] = "\n" }
      if scalars.last == "\n" { scalars.removeLast() }
      self.scalars = scalars
      self.location = location
    }

    /// The whole template as tokens; the last one is `end`.
    mutating func run() throws(TemplateError) -> [Token] {
      while position < scalars.count {
        let start = position
        while position < scalars.count, !isOpening(position) { advance() }
        guard position < scalars.count else {
          appendText(start, position)
          break
        }
        try lexTag(textStart: start)
      }
      append(.end)
      return tokens
    }

    private func isOpening(_ index: Int) -> Bool {
      scalars[index] == "{" && index + 1 < scalars.count && (["{", "%", "#"] as [Unicode.Scalar]).contains(scalars[index + 1])
    }

    /// One `{{ }}`, `{% %}`, `{# #}` or raw block at `position`, with the text from `textStart` before it.
    private mutating func lexTag(textStart: Int) throws(TemplateError) {
      let opening = scalars[position + 1]
      let textEnd = strippedEnd(from: textStart, isOutput: opening == "{")
      appendText(textStart, textEnd)
      startsLine = false
      let tagLine = line
      advance(2)
      if peek == "-" || peek == "+" { advance() }
      switch opening {
      case "#": try lexComment(line: tagLine)
      case "{":
        append(.outputBegin)
        try lexCode(closing: "}")
        append(.outputEnd)
      default:
        if let contentStart = rawContentStart() {
          advance(to: contentStart)
          try lexRaw(line: tagLine)
        } else {
          append(.tagBegin)
          try lexCode(closing: "%")
          append(.tagEnd)
        }
      }
    }

    /// Where the text before the tag at `position` ends once the tag's sign and `lstrip_blocks` took their share.
    private func strippedEnd(from start: Int, isOutput: Bool) -> Int {
      let sign: Unicode.Scalar? = position + 2 < scalars.count ? scalars[position + 2] : nil
      var end = position
      if sign == "-" {
        while end > start, scalars[end - 1].isPythonSpace { end -= 1 }
        return end
      }
      guard sign != "+", !isOutput else { return end }
      while end > start, scalars[end - 1] != "\n" {
        guard scalars[end - 1].isPythonSpace else { return position }
        end -= 1
      }
      return end > start || startsLine ? end : position
    }

    private mutating func lexComment(line start: Int) throws(TemplateError) {
      let contentStart = position
      while position + 1 < scalars.count, scalars[position] != "#" || scalars[position + 1] != "}" { advance() }
      guard position + 1 < scalars.count else {
        throw .syntax(location: "\(location):\(start)", expected: "#}", found: "the end of the template")
      }
      let sign: Unicode.Scalar? = position > contentStart ? scalars[position - 1] : nil
      advance(2)
      trimAfterTag(sign: sign)
    }

    /// Consumes what the end of a tag takes along: all whitespace after `-`, nothing after `+`, else one newline.
    private mutating func trimAfterTag(sign: Unicode.Scalar?) {
      startsLine = false
      if sign == "-" {
        while let scalar = peek, scalar.isPythonSpace {
          startsLine = scalar == "\n"
          advance()
        }
      } else if sign != "+", peek == "\n" {
        startsLine = true
        advance()
      }
    }

    /// When the tag whose `{%` was just read is `raw`, where its content begins.
    private func rawContentStart() -> Int? {
      guard var index = skipWord("raw", from: position) else { return nil }
      let strips = index < scalars.count && scalars[index] == "-"
      if strips { index += 1 }
      guard index + 1 < scalars.count, scalars[index] == "%", scalars[index + 1] == "}" else { return nil }
      index += 2
      while strips, index < scalars.count, scalars[index].isPythonSpace { index += 1 }
      return index
    }

    /// The index after optional blanks, `word`, and optional blanks.
    private func skipWord(_ word: String, from start: Int) -> Int? {
      var index = start
      while index < scalars.count, scalars[index].isPythonSpace { index += 1 }
      for scalar in word.unicodeScalars {
        guard index < scalars.count, scalars[index] == scalar else { return nil }
        index += 1
      }
      while index < scalars.count, scalars[index].isPythonSpace { index += 1 }
      return index
    }

    private mutating func lexRaw(line start: Int) throws(TemplateError) {
      let contentStart = position
      while position < scalars.count {
        if isOpening(position), scalars[position + 1] == "%" {
          var index = position + 2
          if index < scalars.count, scalars[index] == "-" || scalars[index] == "+" { index += 1 }
          if let word = skipWord("endraw", from: index) {
            index = word
            let sign: Unicode.Scalar? = index < scalars.count && scalars[index] != "%" ? scalars[index] : nil
            if sign != nil { index += 1 }
            if index + 1 < scalars.count, scalars[index] == "%", scalars[index + 1] == "}" {
              appendText(contentStart, strippedEnd(from: contentStart, isOutput: false))
              advance(to: index + 2)
              trimAfterTag(sign: sign)
              return
            }
          }
        }
        advance()
      }
      throw .syntax(location: "\(location):\(start)", expected: "{% endraw %}", found: "the end of the template")
    }

    /// Words and symbols up to `%}` or `}}`, which counts as the end only outside of all brackets.
    private mutating func lexCode(closing: Unicode.Scalar) throws(TemplateError) {
      var brackets: [Symbol] = []
      while let scalar = peek {
        if scalar.isPythonSpace {
          advance()
          continue
        }
        if brackets.isEmpty {
          let signed = scalar == "-" || (scalar == "+" && closing == "%")
          let at = signed ? position + 1 : position
          if at + 1 < scalars.count, scalars[at] == closing, scalars[at + 1] == "}" {
            advance(to: at + 2)
            if closing == "%" || signed {
              trimAfterTag(sign: signed ? scalar : nil)
            } else {
              startsLine = false
            }
            return
          }
        }
        if scalar == "'" || scalar == "\"" {
          let start = line
          guard let text = lexString() else {
            throw .syntax(location: "\(location):\(start)", expected: "the end of a string", found: "the end of the template")
          }
          tokens.append(Token(kind: .string(text), line: start))
        } else if scalar.isDigit {
          try lexNumber()
        } else if scalar == "_" || scalar.properties.isXIDStart {
          let start = position
          while let next = peek, next == "_" || next.properties.isXIDContinue { advance() }
          append(.name(string(start, position)))
        } else {
          try lexSymbol(&brackets)
        }
      }
      throw .syntax(location: "\(location):\(line)", expected: "\(closing)}", found: "the end of the template")
    }

    private mutating func lexSymbol(_ brackets: inout [Symbol]) throws(TemplateError) {
      let two = position + 1 < scalars.count ? Symbol(rawValue: string(position, position + 2)) : nil
      guard let symbol = two ?? Symbol(rawValue: string(position, position + 1)) else {
        throw .syntax(location: "\(location):\(line)", expected: "an expression", found: "'\(scalars[position])'")
      }
      switch symbol {
      case .openBrace: brackets.append(.closeBrace)
      case .openBracket: brackets.append(.closeBracket)
      case .openParenthesis: brackets.append(.closeParenthesis)
      case .closeBrace, .closeBracket, .closeParenthesis:
        let expected = brackets.popLast()
        guard expected == symbol else {
          throw .syntax(
            location: "\(location):\(line)", expected: expected.map { "'\($0.rawValue)'" } ?? "no closing bracket",
            found: "'\(symbol.rawValue)'")
        }
      default: break
      }
      append(.symbol(symbol))
      advance(two == nil ? 1 : 2)
    }

    /// A decimal integer or float; `_` may stand between digits. A digit run after a dot is an index, never a fraction.
    private mutating func lexNumber() throws(TemplateError) {
      let start = position
      let afterDot = start > 0 && scalars[start - 1] == "."
      func digitsEnd(_ from: Int) -> Int {
        var index = from
        while index < scalars.count, scalars[index].isDigit || (scalars[index] == "_" && isDigit(index + 1)) { index += 1 }
        return index
      }
      func isDigit(_ index: Int) -> Bool { index < scalars.count && scalars[index].isDigit }
      var end = digitsEnd(start)
      var isFloat = false
      if !afterDot {
        if end < scalars.count, scalars[end] == ".", isDigit(end + 1) {
          isFloat = true
          end = digitsEnd(end + 1)
        }
        if end < scalars.count, scalars[end] == "e" || scalars[end] == "E" {
          var exponent = end + 1
          if exponent < scalars.count, scalars[exponent] == "+" || scalars[exponent] == "-" { exponent += 1 }
          if isDigit(exponent) {
            isFloat = true
            end = digitsEnd(exponent)
          }
        }
      }
      let digits = string(start, end).filter { $0 != "_" }
      if isFloat, let value = Double(digits) {
        append(.float(value))
      } else if let value = Int(digits) {
        append(.integer(value))
      } else {
        throw .syntax(
          location: "\(location):\(line)", expected: "a number of at most 63 bits", found: String(digits.prefix(40)))
      }
      advance(to: end)
    }

    // MARK: Positions

    var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    mutating func advance(_ count: Int = 1) { advance(to: min(position + count, scalars.count)) }

    private mutating func advance(to end: Int) {
      while position < end {
        if scalars[position] == "\n" { line += 1 }
        position += 1
      }
    }

    private func string(_ start: Int, _ end: Int) -> String {
      var text = String.UnicodeScalarView()
      text.append(contentsOf: scalars[start..<end])
      return String(text)
    }

    private mutating func append(_ kind: Token.Kind) { tokens.append(Token(kind: kind, line: line)) }

    private mutating func appendText(_ start: Int, _ end: Int) {
      if end > start { append(.text(string(start, end))) }
    }
  }
}
