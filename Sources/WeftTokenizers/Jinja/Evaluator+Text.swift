// SPDX-License-Identifier: Apache-2.0

extension Jinja.Evaluator {
  /// A value as text: Python's `str`, or huggingface.js's.
  mutating func text(of value: Value) throws(TemplateError) -> String {
    switch value {
    case .string(let text): return text
    case .undefined: return ""
    default:
      try charge(value.size)
      if template.dialect == .huggingfaceJS {
        return switch value {
        case .list, .tuple, .dictionary: try json(value, JSONStyle())
        case .none: "null"
        case .bool(let flag): flag ? "true" : "false"
        default: value.representation
        }
      }
      return value.representation
    }
  }

  /// How `tojson` writes: json.dumps' parameters.
  struct JSONStyle {
    var itemSeparator = ", "
    var keySeparator = ": "
    /// Text repeated at the start of a line for every level; nil writes one line.
    var indent: String?
    var sortsKeys = false
    var escapesNonASCII = false
  }

  /// Python's `json.dumps`.
  mutating func json(_ value: Value, _ style: JSONStyle) throws(TemplateError) -> String {
    try charge(value.size)
    var out = ""
    try writeJSON(value, style, level: 0, to: &out)
    return out
  }

  private mutating func writeJSON(
    _ value: Value, _ style: JSONStyle, level: Int, to out: inout String
  ) throws(TemplateError) {
    switch value {
    case .none: out += "null"
    case .bool(let flag): out += flag ? "true" : "false"
    case .integer(let number): out += "\(number)"
    case .float(let number):
      out += number.isNaN ? "NaN" : number.isInfinite ? (number < 0 ? "-Infinity" : "Infinity") : number.pythonText
    case .string(let text): text.appendJSON(to: &out, escapesNonASCII: style.escapesNonASCII)
    case .list(let list), .tuple(let list):
      out += "["
      for (index, element) in list.elements.enumerated() {
        try writeSeparator(isFirst: index == 0, style, level: level + 1, to: &out)
        try writeJSON(element, style, level: level + 1, to: &out)
      }
      writeClosing("]", isEmpty: list.elements.isEmpty, style, level: level, to: &out)
    case .dictionary(let dictionary):
      var entries = dictionary.entries
      if style.sortsKeys {
        try charge(entries.count * 8)
        entries.sort { ($0.key.precedes($1.key)) ?? false }
      }
      out += "{"
      for (index, entry) in entries.enumerated() {
        try writeSeparator(isFirst: index == 0, style, level: level + 1, to: &out)
        switch entry.key {
        case .string(let key): key.appendJSON(to: &out, escapesNonASCII: style.escapesNonASCII)
        case .integer, .float, .bool, .none:
          out += "\""
          try writeJSON(entry.key, style, level: 0, to: &out)
          out += "\""
        default: throw mismatch("a string as key of JSON", entry.key)
        }
        out += style.keySeparator
        try writeJSON(entry.value, style, level: level + 1, to: &out)
      }
      writeClosing("}", isEmpty: dictionary.entries.isEmpty, style, level: level, to: &out)
    default: throw mismatch("a value that JSON can hold", value)
    }
    guard out.utf8.count <= template.limits.outputBytes else { return try reserve(bytes: out.utf8.count) }
  }

  private mutating func writeSeparator(
    isFirst: Bool, _ style: JSONStyle, level: Int, to out: inout String
  ) throws(TemplateError) {
    if !isFirst { out += style.itemSeparator }
    guard let indent = style.indent else { return }
    try reserve(bytes: out.utf8.count / 64 + indent.utf8.count * level)
    out += "\n" + String(repeating: indent, count: level)
  }

  private func writeClosing(_ bracket: String, isEmpty: Bool, _ style: JSONStyle, level: Int, to out: inout String) {
    if let indent = style.indent, !isEmpty { out += "\n" + String(repeating: indent, count: level) }
    out += bracket
  }
}

extension Jinja.Value {
  /// Python's `repr`, except that a string at the top stands for itself in `str`; see `Evaluator.text`.
  var representation: String {
    var out = ""
    appendRepresentation(to: &out)
    return out
  }

  private func appendRepresentation(to out: inout String) {
    switch self {
    case .undefined: out += "Undefined"
    case .none: out += "None"
    case .bool(let value): out += value ? "True" : "False"
    case .integer(let value): out += "\(value)"
    case .float(let value): out += value.pythonText
    case .string(let text): text.appendPythonLiteral(to: &out)
    case .list(let list):
      out += "["
      append(list.elements, to: &out)
      out += "]"
    case .tuple(let list):
      out += "("
      append(list.elements, to: &out)
      out += list.elements.count == 1 ? ",)" : ")"
    case .dictionary(let dictionary):
      out += "{"
      for (index, entry) in dictionary.entries.enumerated() {
        if index > 0 { out += ", " }
        entry.key.appendRepresentation(to: &out)
        out += ": "
        entry.value.appendRepresentation(to: &out)
      }
      out += "}"
    default: out += "<\(kind)>"
    }
  }

  private func append(_ elements: [Jinja.Value], to out: inout String) {
    for (index, element) in elements.enumerated() {
      if index > 0 { out += ", " }
      element.appendRepresentation(to: &out)
    }
  }
}

extension Double {
  /// Python's `repr`: the shortest digits that read back the same, with an exponent from 1e16 on. Swift changes over a little later.
  var pythonText: String {
    guard magnitude >= 1e16, isFinite, case let text = "\(self)", text.hasSuffix(".0") else { return "\(self)" }
    let sign = self < 0 ? "-" : ""
    let digits = text.dropLast(2).drop { $0 == "-" }
    var fraction = digits.dropFirst()
    while fraction.last == "0" { fraction.removeLast() }
    return "\(sign)\(digits.prefix(1))\(fraction.isEmpty ? "" : ".")\(fraction)e+\(digits.count - 1)"
  }
}

extension String {
  /// This string as JSON spells it.
  func appendJSON(to out: inout String, escapesNonASCII: Bool) {
    out += "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case "\u{08}": out += "\\b"
      case "\u{0C}": out += "\\f"
      default:
        if scalar.value < 0x20 || (escapesNonASCII && scalar.value > 0x7E) {
          for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter { out += "\\u" + unit.hexadecimal(4) }
        } else {
          out.unicodeScalars.append(scalar)
        }
      }
    }
    out += "\""
  }

  /// This string as Python's `repr` spells it.
  func appendPythonLiteral(to out: inout String) {
    let quote: Unicode.Scalar = unicodeScalars.contains("'") && !unicodeScalars.contains("\"") ? "\"" : "'"
    out.unicodeScalars.append(quote)
    for scalar in unicodeScalars {
      switch scalar {
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case "\\": out += "\\\\"
      case quote:
        out += "\\"
        out.unicodeScalars.append(scalar)
      default:
        if scalar.isPythonPrintable {
          out.unicodeScalars.append(scalar)
        } else if scalar.value < 0x100 {
          out += "\\x" + scalar.value.hexadecimal(2)
        } else {
          out += scalar.value < 0x10000 ? "\\u" + scalar.value.hexadecimal(4) : "\\U" + scalar.value.hexadecimal(8)
        }
      }
    }
    out.unicodeScalars.append(quote)
  }
}

extension Unicode.Scalar {
  /// Python's `str.isprintable`.
  fileprivate var isPythonPrintable: Bool {
    switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: self == " "
    default: true
    }
  }
}

extension BinaryInteger {
  fileprivate func hexadecimal(_ count: Int) -> String {
    let digits = String(self, radix: 16)
    return String(repeating: "0", count: max(0, count - digits.utf8.count)) + digits
  }
}
