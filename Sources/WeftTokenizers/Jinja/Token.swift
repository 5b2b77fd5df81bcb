// SPDX-License-Identifier: Apache-2.0

extension Jinja {
  /// One piece of a template: literal text, a delimiter, or a word inside a tag.
  struct Token: Sendable {
    enum Kind: Equatable, Sendable {
      case text(String)
      case outputBegin, outputEnd
      case tagBegin, tagEnd
      case name(String)
      case string(String)
      case integer(Int)
      case float(Double)
      case symbol(Symbol)
      case end
    }

    let kind: Kind
    /// 1-based.
    let line: Int
  }

  /// Operators and punctuation.
  enum Symbol: String, Sendable {
    case plus = "+"
    case minus = "-"
    case times = "*"
    case divide = "/"
    case floorDivide = "//"
    case modulo = "%"
    case power = "**"
    case tilde = "~"
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case assign = "="
    case dot = "."
    case colon = ":"
    case pipe = "|"
    case comma = ","
    case openParenthesis = "("
    case closeParenthesis = ")"
    case openBracket = "["
    case closeBracket = "]"
    case openBrace = "{"
    case closeBrace = "}"
  }
}

extension Jinja.Token.Kind {
  /// How this token reads in an error message.
  var spelling: String {
    switch self {
    case .text: "text"
    case .outputBegin: "{{"
    case .outputEnd: "}}"
    case .tagBegin: "{%"
    case .tagEnd: "%}"
    case .name(let name): "'\(name)'"
    case .string(let text): "the string '\(text.prefix(40))'"
    case .integer(let value): "\(value)"
    case .float(let value): "\(value)"
    case .symbol(let symbol): "'\(symbol.rawValue)'"
    case .end: "the end of the template"
    }
  }
}
