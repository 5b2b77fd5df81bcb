// SPDX-License-Identifier: Apache-2.0

extension Jinja.Evaluator {
  mutating func apply(
    textFilter filter: Jinja.Filter, to text: String, with arguments: CallArguments
  ) throws(TemplateError) -> Value {
    let name = filter.rawValue
    try charge(text.utf8.count / 8)
    switch filter {
    case .capitalize: return try string(text.capitalizedLikePython)
    case .lower: return try string(text.lowercased())
    case .upper: return try string(text.uppercased())
    case .title: return try string(text.titledByWords)
    case .trim:
      let characters = try optionalString(try bind(arguments, "chars", of: name)[0], "the characters to strip")
      return try string(text.stripped(of: characters))
    case .replace:
      let slots = try bind(arguments, "old", "new", "count", of: name)
      let limit = try integer(slots[2], "the count", fallback: -1)
      let (old, new) = (try self.text(of: slots[0] ?? .none), try self.text(of: slots[1] ?? .none))
      return .string(try replacing(old, with: new, in: text, limit: limit))
    case .center:
      let width = try integer(try bind(arguments, "width", of: name)[0], "the width", fallback: 80)
      return try justified(text, .center, width: width, fill: nil)
    case .e, .escape:
      var out = ""
      for scalar in text.unicodeScalars {
        switch scalar {
        case "&": out += "&amp;"
        case "<": out += "&lt;"
        case ">": out += "&gt;"
        case "'": out += "&#39;"
        case "\"": out += "&#34;"
        default: out.unicodeScalars.append(scalar)
        }
      }
      return try string(out)
    case .indent: return try indent(text, arguments)
    case .truncate: return try truncate(text, arguments)
    default:
      let words = text.unicodeScalars.split { !($0 == "_" || $0.properties.isAlphabetic || $0.properties.numericType != nil) }
      return .integer(words.count)
    }
  }

  /// Indents all lines but the first one (`first`) and empty ones (`blank`).
  private mutating func indent(_ text: String, _ arguments: CallArguments) throws(TemplateError) -> Value {
    let slots = try bind(arguments, "width", "first", "blank", of: "indent")
    let margin: String
    if case .string(let given)? = slots[0] {
      margin = given
    } else {
      let width = try integer(slots[0], "the width", fallback: 4)
      try reserve(bytes: max(0, width))
      margin = String(repeating: " ", count: max(0, width))
    }
    var lines = (text + "\n").linesLikePython
    try reserve(bytes: margin.utf8.count.multipliedSaturating(by: lines.count).addingSaturating(text.utf8.count))
    let indentsBlank = slots[2]?.isTrue ?? false
    for index in lines.indices.dropFirst() where indentsBlank || !lines[index].isEmpty { lines[index] = margin + lines[index] }
    if slots[1]?.isTrue ?? false, !lines.isEmpty { lines[0] = margin + lines[0] }
    return try string(lines.joined(separator: "\n"))
  }

  /// Cuts a text that is longer than `length` plus `leeway`, at a word unless `killwords`.
  private mutating func truncate(_ text: String, _ arguments: CallArguments) throws(TemplateError) -> Value {
    let slots = try bind(arguments, "length", "killwords", "end", "leeway", of: "truncate")
    let length = try integer(slots[0], "the length", fallback: 255)
    let end = try optionalString(slots[2], "the end") ?? "..."
    let leeway = try integer(slots[3], "the leeway", fallback: 5)
    let scalars = Array(text.unicodeScalars)
    let kept = length.addingSaturating(-end.unicodeScalars.count)
    guard kept >= 0, leeway >= 0 else { throw mismatch("a length that holds the end", .integer(length)) }
    guard scalars.count > length.addingSaturating(leeway) else { return .string(text) }
    var cut = Array(scalars.prefix(kept))
    if !(slots[1]?.isTrue ?? false), let blank = cut.lastIndex(of: " ") { cut = Array(cut[..<blank]) }
    return try string(String(scalars: cut) + end)
  }
}

extension String {
  /// Jinja's `title`: words begin after whitespace, `-` and opening brackets only, so that "it's" stays "It's".
  fileprivate var titledByWords: String {
    var out = ""
    var startsWord = true
    for scalar in unicodeScalars {
      let separates = scalar.isPythonSpace || (["-", "(", "{", "[", "<"] as [Unicode.Scalar]).contains(scalar)
      out += startsWord && !separates ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
      startsWord = separates
    }
    return out
  }
}
