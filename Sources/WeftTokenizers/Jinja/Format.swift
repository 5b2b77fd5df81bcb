// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension Jinja.Evaluator {
  /// Python's `format % values`: `%s %r %d %i %u %f %x %X %%` with flags `-`, `0`, `+`, a width and a precision.
  mutating func formatted(_ format: String, _ values: [Value]) throws(TemplateError) -> String {
    try charge(format.utf8.count)
    var rest = Substring(format).unicodeScalars
    var remaining = values[...]
    var out = String.UnicodeScalarView()
    while let scalar = rest.popFirst() {
      guard scalar == "%" else {
        out.append(scalar)
        continue
      }
      var field = Field()
      while let flag = rest.first, ["-", "0", "+", " ", "#"].contains(flag) {
        if flag == "-" { field.isLeft = true }
        if flag == "0" { field.isZeroPadded = true }
        if flag == "+" { field.showsPlus = true }
        rest.removeFirst()
      }
      field.width = takeNumber(&rest) ?? 0
      if rest.first == "." {
        rest.removeFirst()
        field.precision = takeNumber(&rest) ?? 0
      }
      guard field.width <= 1000, field.precision ?? 0 <= 100 else {
        throw .limit(location: location, expected: "a width of at most 1000 and a precision of at most 100")
      }
      guard let conversion = rest.popFirst() else {
        throw .value(location: location, expected: "a conversion after '%'", found: "the end of the format")
      }
      if conversion == "%" {
        out.append("%")
        continue
      }
      guard let value = remaining.popFirst() else {
        throw .value(
          location: location, expected: "a value for every conversion of the format", found: "\(values.count) values")
      }
      out.append(contentsOf: try self.text(of: value, as: conversion, field).unicodeScalars)
    }
    guard remaining.isEmpty else {
      throw .value(location: location, expected: "a conversion for every value", found: "\(remaining.count) more values")
    }
    return String(out)
  }

  private struct Field {
    var isLeft = false
    var isZeroPadded = false
    var showsPlus = false
    var width = 0
    var precision: Int?
  }

  private func takeNumber(_ rest: inout Substring.UnicodeScalarView) -> Int? {
    var digits = ""
    while let digit = rest.first, digit.isDigit, digits.utf8.count < 9 {
      digits.unicodeScalars.append(digit)
      rest.removeFirst()
    }
    return Int(digits)
  }

  private mutating func text(of value: Value, as conversion: Unicode.Scalar, _ field: Field) throws(TemplateError) -> String {
    var body: String
    var sign = ""
    switch conversion {
    case "s", "r":
      body = try conversion == "s" ? text(of: value) : value.representation
      if let precision = field.precision { body = String(String.UnicodeScalarView(body.unicodeScalars.prefix(precision))) }
      return padded(body, sign: "", field, zeros: false)
    case "d", "i", "u", "x", "X":
      guard let number = value.number else { throw mismatch("a number for '%\(conversion)'", value) }
      guard let whole = Int(exactly: number.double.rounded(.towardZero)) ?? value.integer else {
        throw mismatch("a number of at most 63 bits", value)
      }
      let exact = value.integer ?? whole
      sign = exact < 0 ? "-" : field.showsPlus ? "+" : ""
      body = String(exact.magnitude, radix: conversion == "x" || conversion == "X" ? 16 : 10, uppercase: conversion == "X")
    case "f", "F":
      guard let number = value.number?.double, number.isFinite else { throw mismatch("a number for '%f'", value) }
      sign = number < 0 ? "-" : field.showsPlus ? "+" : ""
      body = number.magnitude.fixedText(decimals: field.precision ?? 6)
    default: throw .unsupported(location: location, found: "the conversion '%\(conversion)'")
    }
    return padded(body, sign: sign, field, zeros: field.isZeroPadded && !field.isLeft)
  }

  private func padded(_ body: String, sign: String, _ field: Field, zeros: Bool) -> String {
    let missing = max(0, field.width - body.unicodeScalars.count - sign.utf8.count)
    if zeros { return sign + String(repeating: "0", count: missing) + body }
    let blanks = String(repeating: " ", count: missing)
    return field.isLeft ? sign + body + blanks : blanks + sign + body
  }
}

extension Double {
  /// This number with so many decimals, correctly rounded from its exact binary value, as C prints it.
  func fixedText(decimals: Int) -> String {
    var buffer = [CChar](repeating: 0, count: 512 + decimals)
    let count = withVaList([Int32(decimals), self]) { vsnprintf(&buffer, buffer.count, "%.*f", $0) }
    return String(decoding: buffer.prefix(Int(max(0, count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}
