// SPDX-License-Identifier: Apache-2.0

/// One token that is found in the text itself, before anything is merged.
struct AddedToken: Sendable, Equatable {
  var id: Int32
  var content: [UInt8]
  /// Found only when special tokens are parsed, and left out of decoded text when asked for.
  var isSpecial = false
  /// Takes the white space before it along.
  var stripsLeft = false
  /// Takes the white space behind it along.
  var stripsRight = false
  /// Not found inside a word.
  var isSingleWord = false
}

/// Finds added tokens in a text: at every place the longest one, from left to right.
struct AddedTokens: Sendable {
  /// A part of a text: one token, or (`id` nil) text between tokens.
  struct Segment: Equatable {
    var range: Range<Int>
    var id: Int32?
  }

  private(set) var tokens: [AddedToken] = []
  /// A trie over bytes: (node << 8 | byte) -> node. Node 0 is the root.
  private var edges: [UInt64: Int32] = [:]
  /// The index in `tokens` that ends at a node, or -1.
  private var ends: [Int32] = [-1]
  /// Which bytes begin a token: most places of a text are passed over by this alone.
  private var beginnings = [Bool](repeating: false, count: 256)

  /// Adds a token, found by `pattern` (its content, or its content as the normalizer writes it).
  mutating func insert(_ token: AddedToken, pattern: [UInt8]) {
    guard let first = pattern.first else { return }
    beginnings[Int(first)] = true
    var node: Int32 = 0
    for byte in pattern {
      let edge = Self.edge(node, byte)
      if let next = edges[edge] {
        node = next
      } else {
        let next = Int32(ends.count)
        ends.append(-1)
        edges[edge] = next
        node = next
      }
    }
    ends[Int(node)] = Int32(tokens.count)
    tokens.append(token)
  }

  /// Cuts a text into tokens and what lies between them. Special tokens stay text unless `parsesSpecial`.
  func segments(of text: Span<UInt8>, parsesSpecial: Bool) -> [Segment] {
    var result: [Segment] = []
    var textStart = 0
    var position = 0
    while !tokens.isEmpty, position < text.count {
      guard beginnings[Int(text[position])], let (token, length) = longestMatch(in: text, at: position) else {
        position += 1
        continue
      }
      var range = position..<position + length
      position = range.upperBound
      if token.isSpecial && !parsesSpecial { continue }
      if token.isSingleWord, isInsideWord(range, of: text) { continue }
      if token.stripsLeft { range = leftmostSpace(text, range.lowerBound, from: textStart)..<range.upperBound }
      if token.stripsRight { range = range.lowerBound..<rightmostSpace(text, range.upperBound) }
      // White space that the token before it took along cannot be taken twice.
      range = max(range.lowerBound, textStart)..<max(range.upperBound, textStart)
      if textStart < range.lowerBound { result.append(Segment(range: textStart..<range.lowerBound, id: nil)) }
      result.append(Segment(range: range, id: token.id))
      textStart = range.upperBound
    }
    if textStart < text.count { result.append(Segment(range: textStart..<text.count, id: nil)) }
    return result
  }

  private static func edge(_ node: Int32, _ byte: UInt8) -> UInt64 { UInt64(UInt32(bitPattern: node)) << 8 | UInt64(byte) }

  private func longestMatch(in text: Span<UInt8>, at start: Int) -> (token: AddedToken, length: Int)? {
    var node: Int32 = 0
    var best: (token: AddedToken, length: Int)?
    var index = start
    while index < text.count, let next = edges[Self.edge(node, text[index])] {
      node = next
      index += 1
      if ends[Int(node)] >= 0 { best = (tokens[Int(ends[Int(node)])], index - start) }
    }
    return best
  }

  private func isInsideWord(_ range: Range<Int>, of text: Span<UInt8>) -> Bool {
    lastScalar(of: text.extracting(0..<range.lowerBound)).map(Self.isWord) == true
      || firstScalar(of: text.extracting(range.upperBound..<text.count)).map(Self.isWord) == true
  }

  /// Unicode's definition of `\w` (UTS 18).
  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation: true
    default: scalar.properties.isAlphabetic || scalar.properties.isJoinControl
    }
  }

  private func leftmostSpace(_ text: Span<UInt8>, _ end: Int, from start: Int) -> Int {
    var end = end
    while end > start, let scalar = lastScalar(of: text.extracting(start..<end)), scalar.properties.isWhitespace {
      end -= UTF8.width(scalar)
    }
    return end
  }

  private func rightmostSpace(_ text: Span<UInt8>, _ start: Int) -> Int {
    var start = start
    while let scalar = firstScalar(of: text.extracting(start..<text.count)), scalar.properties.isWhitespace {
      start += UTF8.width(scalar)
    }
    return start
  }
}
