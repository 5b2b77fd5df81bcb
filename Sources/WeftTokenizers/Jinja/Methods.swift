// SPDX-License-Identifier: Apache-2.0

extension Jinja.Evaluator {
  mutating func call(_ method: Jinja.Method, of receiver: Value, with arguments: CallArguments) throws(TemplateError) -> Value {
    switch receiver {
    case .string(let text): return try call(method, ofString: text, with: arguments)
    case .dictionary(let dictionary): return try call(method, ofDictionary: dictionary, with: arguments)
    case .list(let list), .tuple(let list):
      let slots = try bind(arguments, "value", of: method.rawValue)
      guard method != .copy else { return receiver }
      guard let wanted = slots[0] else { throw mismatch("a value for '\(method.rawValue)'", .none) }
      var matches: [Int] = []
      for (index, element) in list.elements.enumerated() {
        try charge(min(wanted.size, element.size))
        if element.equals(wanted, dialect: template.dialect) { matches.append(index) }
      }
      if method == .count { return .integer(matches.count) }
      guard let first = matches.first else { throw mismatch("a value of the list", wanted) }
      return .integer(first)
    case .loop(let identity): return try call(method, ofLoop: identity, with: arguments)
    default: throw mismatch("a value with the method '\(method.rawValue)'", receiver)
    }
  }

  private mutating func call(
    _ method: Jinja.Method, ofLoop identity: Int, with arguments: CallArguments
  ) throws(TemplateError) -> Value {
    if method == .cycle {
      guard !arguments.positional.isEmpty else { throw mismatch("values to cycle through", .none) }
      return arguments.positional[loops[identity].index % arguments.positional.count]
    }
    let value = try check(.tuple(Jinja.List(arguments.positional)))
    try charge(value.size)
    let hasChanged = loops[identity].lastChanged.map { !$0.equals(value, dialect: template.dialect) } ?? true
    loops[identity].lastChanged = value
    return .bool(hasChanged)
  }

  private mutating func call(
    _ method: Jinja.Method, ofDictionary dictionary: Jinja.Dictionary, with arguments: CallArguments
  ) throws(TemplateError) -> Value {
    if method == .get {
      let slots = try bind(arguments, "key", "default", of: "get")
      guard let key = slots[0] else { throw mismatch("a key for 'get'", .none) }
      try charge(key.size / 4 + dictionary.entries.count / 8)
      return dictionary[key] ?? slots[1] ?? .none
    }
    _ = try bind(arguments, of: method.rawValue)
    switch method {
    case .keys: return try list(dictionary.entries.map { $0.key })
    case .values: return try list(dictionary.entries.map { $0.value })
    case .items: return try list(dictionary.entries.map { .tuple(Jinja.List([$0.key, $0.value])) })
    default: return .dictionary(dictionary)
    }
  }

  private mutating func call(
    _ method: Jinja.Method, ofString text: String, with arguments: CallArguments
  ) throws(TemplateError) -> Value {
    let name = method.rawValue
    try charge(text.utf8.count / 8)
    switch method {
    case .upper, .lower, .title, .capitalize, .swapcase, .isdigit, .isalpha, .isalnum, .isspace, .isupper, .islower,
      .splitlines:
      _ = try bind(arguments, of: name)
      return try plain(method, text)
    case .strip, .lstrip, .rstrip:
      let characters = try optionalString(try bind(arguments, "chars", of: name)[0], "the characters to strip")
      return try string(text.stripped(of: characters, left: method != .rstrip, right: method != .lstrip))
    case .split, .rsplit:
      let slots = try bind(arguments, "sep", "maxsplit", of: name)
      let parts = try split(
        text, at: try optionalString(slots[0], "the separator"),
        limit: try integer(slots[1], "the number of splits", fallback: -1), fromEnd: method == .rsplit)
      return try list(parts.map { .string($0) })
    case .startswith, .endswith:
      let slots = try bind(arguments, "prefix", "start", "end", of: name)
      let affixes: [Value]
      if case .tuple(let several)? = slots[0] { affixes = several.elements } else { affixes = [slots[0] ?? .none] }
      for affix in affixes {
        let affix = try string(affix, "the affix")
        if method == .startswith ? text.begins(with: affix) : text.ends(with: affix) { return .bool(true) }
      }
      return .bool(false)
    case .removeprefix, .removesuffix:
      let affix = try string(try bind(arguments, "affix", of: name)[0], "the affix")
      guard method == .removeprefix ? text.begins(with: affix) : text.ends(with: affix) else { return .string(text) }
      let bytes =
        method == .removeprefix ? Array(text.utf8.dropFirst(affix.utf8.count)) : Array(text.utf8.dropLast(affix.utf8.count))
      return try string(String(decoding: bytes, as: UTF8.self))
    case .replace:
      let slots = try bind(arguments, "old", "new", "count", of: name)
      let limit = try integer(slots[2], "the count", fallback: -1)
      return .string(
        try replacing(
          try string(slots[0], "the text to replace"), with: try string(slots[1], "the replacement"), in: text, limit: limit))
    case .find, .rfind, .index, .count:
      let part = try string(try bind(arguments, "sub", of: name)[0], "the text to find")
      let places = try occurrences(of: part, in: text)
      if method == .count { return .integer(part.isEmpty ? text.unicodeScalars.count + 1 : places.count) }
      if part.isEmpty { return .integer(method == .rfind ? text.unicodeScalars.count : 0) }
      // The last non-overlapping occurrence is not the last one of all when the text overlaps itself; look again past it.
      guard let place = method == .rfind ? try lastOccurrence(of: part, in: text) : places.first else {
        guard method != .index else {
          throw .value(location: location, expected: "a text that occurs", found: "'\(part.prefix(40))'")
        }
        return .integer(-1)
      }
      return .integer(String(decoding: Array(text.utf8.prefix(place)), as: UTF8.self).unicodeScalars.count)
    case .partition, .rpartition:
      let separator = try string(try bind(arguments, "sep", of: name)[0], "the separator")
      let parts = try split(text, at: separator, limit: 1, fromEnd: method == .rpartition)
      let missing = method == .partition ? [text, "", ""] : ["", "", text]
      let three = parts.count == 2 ? [parts[0], separator, parts[1]] : missing
      return .tuple(Jinja.List(three.map { .string($0) }))
    case .join:
      let slots = try bind(arguments, "iterable", of: name)
      guard let iterable = slots[0] else { throw mismatch("something to join", .none) }
      var out = ""
      for (index, element) in try elements(of: iterable).enumerated() {
        if index > 0 { out += text }
        out += try string(element, "every element to join")
        try reserve(bytes: out.utf8.count / 64)
      }
      return try string(out)
    case .zfill, .ljust, .rjust, .center:
      let slots = try bind(arguments, "width", "fillchar", of: name)
      return try justified(
        text, method, width: try integer(slots[0], "the width", fallback: 0), fill: try optionalString(slots[1], "the fill"))
    default: throw mismatch("a value with the method '\(name)'", .string(text))
    }
  }

  /// Methods without arguments.
  private mutating func plain(_ method: Jinja.Method, _ text: String) throws(TemplateError) -> Value {
    let scalars = text.unicodeScalars
    switch method {
    case .upper: return try string(text.uppercased())
    case .lower: return try string(text.lowercased())
    case .title: return try string(text.titled)
    case .capitalize: return try string(text.capitalizedLikePython)
    case .swapcase:
      var out = ""
      for scalar in scalars {
        out += scalar.properties.isUppercase ? scalar.properties.lowercaseMapping : scalar.properties.uppercaseMapping
      }
      return try string(out)
    case .isdigit:
      return .bool(
        !text.isEmpty && scalars.allSatisfy { $0.properties.numericType == .decimal || $0.properties.numericType == .digit })
    case .isalpha: return .bool(!text.isEmpty && scalars.allSatisfy { $0.isPythonLetter })
    case .isalnum: return .bool(!text.isEmpty && scalars.allSatisfy { $0.isPythonLetter || $0.properties.numericType != nil })
    case .isspace: return .bool(!text.isEmpty && scalars.allSatisfy { $0.isPythonSpace })
    case .isupper:
      return .bool(scalars.contains { $0.properties.isUppercase } && !scalars.contains { $0.properties.isLowercase })
    case .islower:
      return .bool(scalars.contains { $0.properties.isLowercase } && !scalars.contains { $0.properties.isUppercase })
    default: return try list(text.linesLikePython.map { .string($0) })
    }
  }

  private mutating func lastOccurrence(of part: String, in text: String) throws(TemplateError) -> Int? {
    let reversed = try occurrences(
      of: String(scalars: part.unicodeScalars.reversed()), in: String(scalars: text.unicodeScalars.reversed()), limit: 1)
    return reversed.first.map { text.utf8.count - $0 - part.utf8.count }
  }

  mutating func justified(_ text: String, _ method: Jinja.Method, width: Int, fill: String?) throws(TemplateError) -> Value {
    let missing = max(0, width - text.unicodeScalars.count)
    let fill = method == .zfill ? "0" : fill ?? " "
    guard fill.unicodeScalars.count == 1 else { throw mismatch("one character to fill with", .string(fill)) }
    try reserve(bytes: missing.multipliedSaturating(by: fill.utf8.count).addingSaturating(text.utf8.count))
    func filling(_ count: Int) -> String { String(repeating: fill, count: count) }
    switch method {
    case .ljust: return .string(text + filling(missing))
    case .rjust: return .string(filling(missing) + text)
    case .zfill:
      let sign = text.unicodeScalars.first.map { $0 == "-" || $0 == "+" } ?? false
      return .string(text.prefix(sign ? 1 : 0) + filling(missing) + text.dropFirst(sign ? 1 : 0))
    default:
      // CPython puts the odd blank on the left when the width is odd.
      let left = missing / 2 + (missing & width & 1)
      return .string(filling(left) + text + filling(missing - left))
    }
  }

  /// A string argument that may be missing or none.
  func optionalString(_ value: Value?, _ what: String) throws(TemplateError) -> String? {
    switch value {
    case nil, .some(.none): return nil
    default: return try string(value, what)
    }
  }
}

extension Unicode.Scalar {
  /// Python's `str.isalpha`: the letter categories.
  fileprivate var isPythonLetter: Bool {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }
}
