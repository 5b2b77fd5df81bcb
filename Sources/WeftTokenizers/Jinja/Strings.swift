// SPDX-License-Identifier: Apache-2.0

// Strings by code points, as Python has them, on UTF-8 bytes where that is the same.

extension Jinja.Evaluator {
  /// Byte offsets of the non-overlapping occurrences of `part`, from the left; none for an empty `part`.
  mutating func occurrences(of part: String, in text: String, limit: Int = .max) throws(TemplateError) -> [Int] {
    let (haystack, needle) = (Array(text.utf8), Array(part.utf8))
    try charge(haystack.count / 32 + needle.count / 32)
    guard let first = needle.first, needle.count <= haystack.count else { return [] }
    var found: [Int] = []
    var index = 0
    while index <= haystack.count - needle.count, found.count < limit {
      guard haystack[index] == first else {
        index += 1
        continue
      }
      var length = 1
      while length < needle.count, haystack[index + length] == needle[length] { length += 1 }
      if length > 32 { try charge(length / 32) }
      if length == needle.count {
        found.append(index)
        index += length
      } else {
        index += 1
      }
    }
    try charge(found.count / 4)
    return found
  }

  mutating func replacing(_ part: String, with other: String, in text: String, limit: Int) throws(TemplateError) -> String {
    let limit = limit < 0 ? Int.max : limit
    if part.isEmpty {
      // Python puts the replacement before every character, and at the end.
      try reserve(bytes: text.utf8.count.addingSaturating(other.utf8.count.multipliedSaturating(by: text.utf8.count + 1)))
      var out = ""
      var count = 0
      for scalar in text.unicodeScalars {
        if count < limit { out += other }
        count += 1
        out.unicodeScalars.append(scalar)
      }
      return count < limit ? out + other : out
    }
    let places = try occurrences(of: part, in: text, limit: limit)
    try reserve(bytes: text.utf8.count.addingSaturating(other.utf8.count.multipliedSaturating(by: places.count)))
    let bytes = Array(text.utf8)
    var out: [UInt8] = []
    var start = 0
    for place in places {
      out += bytes[start..<place]
      out += other.utf8
      start = place + part.utf8.count
    }
    out += bytes[start...]
    return String(decoding: out, as: UTF8.self)
  }

  /// `str.split(separator)` and `rsplit`; without separator, at runs of whitespace.
  mutating func split(_ text: String, at separator: String?, limit: Int, fromEnd: Bool) throws(TemplateError) -> [String] {
    let limit = limit < 0 ? Int.max : limit
    guard let separator else { return try splitAtSpace(text, limit: limit, fromEnd: fromEnd) }
    guard !separator.isEmpty else { throw .value(location: location, expected: "a separator", found: "an empty string") }
    var places = try occurrences(of: separator, in: text)
    if places.count > limit { places = fromEnd ? Array(places.suffix(limit)) : Array(places.prefix(limit)) }
    // A part takes more memory than its text: it is paid for before it is made.
    try charge(places.count)
    let bytes = Array(text.utf8)
    var parts: [String] = []
    var start = 0
    for place in places {
      parts.append(String(decoding: bytes[start..<place], as: UTF8.self))
      start = place + separator.utf8.count
    }
    parts.append(String(decoding: bytes[start...], as: UTF8.self))
    return parts
  }

  private mutating func splitAtSpace(_ text: String, limit: Int, fromEnd: Bool) throws(TemplateError) -> [String] {
    try charge(text.utf8.count / 8)
    var scalars = Array(text.unicodeScalars)
    if fromEnd { scalars.reverse() }
    var parts: [[Unicode.Scalar]] = []
    var index = 0
    while true {
      while index < scalars.count, scalars[index].isPythonSpace { index += 1 }
      guard index < scalars.count else { break }
      if parts.count == limit {
        parts.append(Array(scalars[index...]))
        break
      }
      try charge(4)
      let start = index
      while index < scalars.count, !scalars[index].isPythonSpace { index += 1 }
      parts.append(Array(scalars[start..<index]))
    }
    let texts = parts.map { String(scalars: fromEnd ? $0.reversed() : $0) }
    return fromEnd ? texts.reversed() : texts
  }
}

extension Int {
  func multipliedSaturating(by other: Int) -> Int {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }
}

extension String {
  init(scalars: [Unicode.Scalar]) {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    self = String(view)
  }

  /// Python's `str.strip` (and its halves): removes whitespace, or any of the given characters.
  func stripped(of characters: String?, left: Bool = true, right: Bool = true) -> String {
    let set = characters.map { Set($0.unicodeScalars) }
    func isRemoved(_ scalar: Unicode.Scalar) -> Bool { set.map { $0.contains(scalar) } ?? scalar.isPythonSpace }
    var view = Substring(self).unicodeScalars
    if left { while let first = view.first, isRemoved(first) { view.removeFirst() } }
    if right { while let last = view.last, isRemoved(last) { view.removeLast() } }
    return String(Substring(view))
  }

  /// The first character in title case, the others in lower case.
  var capitalizedLikePython: String {
    guard let first = unicodeScalars.first else { return "" }
    return first.properties.titlecaseMapping + String(String.UnicodeScalarView(unicodeScalars.dropFirst())).lowercased()
  }

  /// `str.title`: a letter after anything that is no letter in title case, the others in lower case.
  var titled: String {
    var out = ""
    var afterLetter = false
    for scalar in unicodeScalars {
      out += afterLetter ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
      afterLetter = scalar.properties.isCased
    }
    return out
  }

  /// Code-point-wise, unlike `hasPrefix`, which follows canonical equivalence.
  func begins(with prefix: String) -> Bool { utf8.starts(with: prefix.utf8) }

  func ends(with suffix: String) -> Bool { utf8.reversed().starts(with: suffix.utf8.reversed()) }

  /// Lines as Python's `str.splitlines` cuts them, without their ends.
  var linesLikePython: [String] {
    var lines: [String] = []
    var line = String.UnicodeScalarView()
    var previous: Unicode.Scalar?
    for scalar in unicodeScalars {
      defer { previous = scalar }
      if scalar == "\n", previous == "\r" { continue }
      if Self.lineEnds.contains(scalar) {
        lines.append(String(line))
        line = String.UnicodeScalarView()
      } else {
        line.append(scalar)
      }
    }
    if !line.isEmpty { lines.append(String(line)) }
    return lines
  }

  private static let lineEnds: Set<Unicode.Scalar> = [
    "\n", "\r", "\u{0B}", "\u{0C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}",
  ]
}
