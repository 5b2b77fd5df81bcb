// SPDX-License-Identifier: Apache-2.0

/// A text cut into words: merges never cross a cut.
struct WordList {
  /// The text of all words, valid UTF-8.
  var bytes: [UInt8]
  /// The words in order. They need not touch: what lies between them was removed.
  var words: [Range<Int>]
  /// Whether the first word stands at the beginning of the whole input.
  let startsInput: Bool

  init(_ text: [UInt8], startsInput: Bool) {
    bytes = text
    words = text.isEmpty ? [] : [0..<text.count]
    self.startsInput = startsInput
  }
}

/// What becomes of the matches of a split.
enum SplitBehavior: String, Sendable, CaseIterable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"
}

/// One step from a text to its words. Steps run in order, each on every word that the step before left.
enum PreTokenizer: Sendable {
  /// Cuts at the matches of a pattern; `isInverted`: at what does not match.
  case split(TextPattern, SplitBehavior, isInverted: Bool)
  /// Puts a space before words that do not begin with one.
  case prefixSpace
  /// Spells every byte as the character that stands for it.
  case byteLevel(ByteAlphabet)
  /// Spaces become `replacement`; a word gets one before it according to `prefix`, and is cut before each one if `splits`.
  case metaspace(replacement: [UInt8], prefix: PrefixScheme, splits: Bool)

  /// Which words get a space before them.
  enum PrefixScheme: String, Sendable, CaseIterable {
    case always, never
    /// The word at the beginning of the input.
    case first
  }

  func apply(to list: inout WordList) {
    switch self {
    case .split(let pattern, let behavior, let isInverted):
      split(&list, pattern, behavior, isInverted: isInverted)
    case .prefixSpace:
      rewrite(&list) { word, _, result in
        if word[0] != 0x20 { result.append(0x20) }
        result.append(word)
      }
    case .byteLevel(let alphabet):
      rewrite(&list) { word, _, result in alphabet.spell(word, into: &result) }
    case .metaspace(let replacement, let prefix, let splits):
      rewrite(&list) { word, isFirst, result in
        let start = result.count
        for index in word.indices {
          if word[index] == 0x20 { result.append(contentsOf: replacement) } else { result.append(word[index]) }
        }
        let isAsked = prefix == .always || (prefix == .first && isFirst)
        if isAsked, !result.matches(replacement, at: start) { result.insert(contentsOf: replacement, at: start) }
      }
      if splits { cut(&list, before: replacement) }
    }
  }

  private func split(_ list: inout WordList, _ pattern: TextPattern, _ behavior: SplitBehavior, isInverted: Bool) {
    var words: [Range<Int>] = []
    words.reserveCapacity(list.words.count * 2)
    var parts: [(range: Range<Int>, isMatch: Bool)] = []
    let bytes = list.bytes
    let text = bytes.span
    for word in list.words {
      parts.removeAll(keepingCapacity: true)
      var end = word.lowerBound
      pattern.matches(in: text, word) { match in
        if end < match.lowerBound { parts.append((end..<match.lowerBound, isInverted)) }
        parts.append((match, !isInverted))
        end = match.upperBound
      }
      if end < word.upperBound { parts.append((end..<word.upperBound, isInverted)) }
      Self.join(parts, behavior, into: &words)
    }
    list.words = words
  }

  /// Makes words of the parts of one word.
  private static func join(
    _ parts: [(range: Range<Int>, isMatch: Bool)], _ behavior: SplitBehavior, into words: inout [Range<Int>]
  ) {
    switch behavior {
    case .isolated:
      for part in parts where !part.range.isEmpty { words.append(part.range) }
    case .removed:
      for part in parts where !part.isMatch && !part.range.isEmpty { words.append(part.range) }
    case .contiguous:
      joinRuns(parts, into: &words) { $0 == $1 }
    case .mergedWithPrevious:
      joinRuns(parts, into: &words) { previous, isMatch in isMatch && !previous }
    case .mergedWithNext:
      joinRuns(parts, into: &words) { previous, isMatch in previous && !isMatch }
    }
  }

  /// Joins a part to the one before it when `joins(previous is a match, this is a match)`.
  private static func joinRuns(
    _ parts: [(range: Range<Int>, isMatch: Bool)], into words: inout [Range<Int>], joins: (Bool, Bool) -> Bool
  ) {
    var run: Range<Int>?
    var previous = false
    for part in parts {
      if let current = run, joins(previous, part.isMatch) {
        run = current.lowerBound..<part.range.upperBound
      } else {
        if let current = run, !current.isEmpty { words.append(current) }
        run = part.range
      }
      previous = part.isMatch
    }
    if let current = run, !current.isEmpty { words.append(current) }
  }

  /// Rewrites every word (none is empty) into a new text; `body` gets the word and whether it begins the input.
  private func rewrite(_ list: inout WordList, _ body: (Span<UInt8>, Bool, inout [UInt8]) -> Void) {
    var result: [UInt8] = []
    result.reserveCapacity(list.bytes.count + list.bytes.count / 4)
    let bytes = list.bytes
    let text = bytes.span
    for index in list.words.indices {
      let start = result.count
      body(text.extracting(list.words[index]), index == 0 && list.startsInput, &result)
      list.words[index] = start..<result.count
    }
    list.bytes = result
  }

  /// Cuts every word before each occurrence of `mark`.
  private func cut(_ list: inout WordList, before mark: [UInt8]) {
    var words: [Range<Int>] = []
    for word in list.words {
      var start = word.lowerBound
      var index = start + 1
      while index + mark.count <= word.upperBound {
        if list.bytes[index] == mark[0], list.bytes.matches(mark, at: index) {
          words.append(start..<index)
          start = index
          index += mark.count
        } else {
          index += 1
        }
      }
      if start < word.upperBound { words.append(start..<word.upperBound) }
    }
    list.words = words
  }
}
