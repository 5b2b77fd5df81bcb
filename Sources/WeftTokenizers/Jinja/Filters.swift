// SPDX-License-Identifier: Apache-2.0

extension Jinja {
  /// Jinja's filters, and transformers' `tojson`.
  enum Filter: String, Sendable {
    // Of one value
    case abs, `default`, d, float, int, round, string, safe, tojson, format
    // Of text
    case capitalize, center, e, escape, indent, lower, replace, title, trim, truncate, upper, wordcount
    // Of sequences
    case batch, count, dictsort, first, groupby, items, join, last, length, list, map, max, min, reject, rejectattr, reverse
    case select, selectattr, slice, sort, sum, unique, attr
  }
}

extension Jinja.Evaluator {
  mutating func apply(filter name: String, to input: Value, with arguments: CallArguments) throws(TemplateError) -> Value {
    guard let filter = Jinja.Filter(rawValue: name) else {
      throw .unsupported(location: location, found: "the filter '\(name)'")
    }
    switch filter {
    case .capitalize, .center, .e, .escape, .indent, .lower, .replace, .title, .trim, .truncate, .upper, .wordcount:
      return try apply(textFilter: filter, to: try text(of: input), with: arguments)
    case .batch, .slice, .dictsort, .first, .groupby, .items, .join, .last, .list, .map, .max, .min, .reject, .rejectattr,
      .reverse,
      .select, .selectattr, .sort, .sum, .unique:
      return try apply(sequenceFilter: filter, to: input, with: arguments)
    case .count, .length: return .integer(try length(of: input))
    case .safe: return .string(try text(of: input))
    case .string: return try string(try text(of: input))
    case .abs:
      switch input.number {
      case .integer(let number)? where number != .min: return .integer(Swift.abs(number))
      case .float(let number)?: return .float(number.magnitude)
      default: throw mismatch("a number", input)
      }
    case .attr:
      let name = try string(try bind(arguments, "name", of: name)[0], "the name of the attribute")
      guard case .dictionary = input else { return try attribute(name, of: input) }
      // Entries are no attributes: only `attr` tells the two apart.
      let method = Jinja.Method(rawValue: name)
      return method.map { input.has($0) } ?? false ? try attribute(name, of: input) : .undefined(name: name)
    case .default, .d:
      let slots = try bind(arguments, "default_value", "boolean", of: name)
      let replaces = input.isUndefined || ((slots[1]?.isTrue ?? false) && !input.isTrue)
      return replaces ? slots[0] ?? .string("") : input
    case .float:
      let slots = try bind(arguments, "default", of: name)
      if case .string(let text) = input, let number = text.pythonFloat { return .float(number) }
      if let number = input.number { return .float(number.double) }
      return slots[0] ?? .float(0)
    case .int:
      let slots = try bind(arguments, "default", "base", of: name)
      return try integer(from: input, base: try integer(slots[1], "the base", fallback: 10)) ?? slots[0] ?? .integer(0)
    case .round: return try round(input, arguments)
    case .tojson: return try string(try json(input, try jsonStyle(arguments)))
    case .format:
      guard arguments.keywords.isEmpty else { throw mismatch("positional values to format", arguments.keywords[0].value) }
      return try string(try formatted(try text(of: input), arguments.positional))
    }
  }

  /// The count of elements, entries or characters; 0 for an undefined value.
  private mutating func length(of value: Value) throws(TemplateError) -> Int {
    switch value {
    case .string(let text):
      try charge(text.utf8.count / 32)
      return text.unicodeScalars.count
    case .list(let list), .tuple(let list): return list.elements.count
    case .dictionary(let dictionary): return dictionary.entries.count
    case .undefined: return 0
    default: throw mismatch("something with a length", value)
    }
  }

  /// Python's `int(value)`, then of its float, as Jinja tries them; nil when neither reads.
  private func integer(from value: Value, base: Int) throws(TemplateError) -> Value? {
    switch value {
    case .string(let text):
      guard (2...36).contains(base) else { throw mismatch("a base from 2 to 36", .integer(base)) }
      var digits = text.stripped(of: nil).filter { $0 != "_" }
      for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where radix == base && digits.lowercased().hasPrefix(prefix) {
        digits.removeFirst(2)
      }
      if let number = Int(digits, radix: base) { return .integer(number) }
      return text.pythonFloat.flatMap { Int(exactly: $0.rounded(.towardZero)) }.map { .integer($0) }
    case .float(let number): return Int(exactly: number.rounded(.towardZero)).map { .integer($0) }
    case .undefined: throw mismatch("a defined value", value)
    default: return value.integer.map { .integer($0) }
    }
  }

  private func round(_ value: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
    let slots = try bind(arguments, "precision", "method", of: "round")
    let precision = try integer(slots[0], "the precision", fallback: 0)
    guard let number = value.number?.double, number.isFinite else { throw mismatch("a finite number", value) }
    guard (0...100).contains(precision) else { throw mismatch("a precision from 0 to 100", .integer(precision)) }
    var scale = 1.0
    for _ in 0..<precision { scale *= 10 }
    switch try optionalString(slots[1], "the method") ?? "common" {
    case "common":
      if let whole = value.integer { return .integer(whole) }
      return .float(Double(number.fixedText(decimals: precision)) ?? number)
    case "ceil": return .float((number * scale).rounded(.up) / scale)
    case "floor": return .float((number * scale).rounded(.down) / scale)
    case let other: throw mismatch("the method 'common', 'ceil' or 'floor'", .string(other))
    }
  }

  private mutating func jsonStyle(_ arguments: CallArguments) throws(TemplateError) -> JSONStyle {
    let slots = try bind(arguments, "ensure_ascii", "indent", "separators", "sort_keys", of: "tojson")
    var style = JSONStyle()
    style.escapesNonASCII = slots[0]?.isTrue ?? false
    style.sortsKeys = slots[3]?.isTrue ?? false
    switch slots[1] {
    case nil, .some(.none): break
    case .some(.string(let indent)) where indent.utf8.count <= 100: style.indent = indent
    case .some(let value):
      guard let count = value.integer, count <= 100 else { throw mismatch("an indent of at most 100 columns", value) }
      style.indent = String(repeating: " ", count: max(0, count))
    }
    if style.indent != nil { style.itemSeparator = "," }
    switch slots[2] {
    case nil, .some(.none): break
    case .some(let value):
      let separators = try elements(of: value)
      guard separators.count == 2 else { throw mismatch("a pair of separators", value) }
      style.itemSeparator = try string(separators[0], "a separator")
      style.keySeparator = try string(separators[1], "a separator")
    }
    return style
  }
}

extension String {
  /// Python's `float(text)`.
  fileprivate var pythonFloat: Double? {
    let digits = stripped(of: nil).filter { $0 != "_" }
    guard !digits.lowercased().contains("x"), !digits.lowercased().contains("p") else { return nil }
    return Double(digits)
  }
}
