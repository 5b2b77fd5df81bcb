// SPDX-License-Identifier: Apache-2.0

/// How a word becomes its first symbols, and what happens to characters that are no piece.
extension BytePairEncoding {
  /// One symbol per character, with or without a piece: scored merging goes by spelling.
  func spellCharacters(_ word: Span<UInt8>, into symbols: inout [Symbol]) {
    symbols.removeAll(keepingCapacity: true)
    var start = 0
    while start < word.count {
      let end = min(word.count, start + utf8Length(lead: word[start]))
      var id = pieces.id(of: word.extracting(start..<end)) ?? -1
      if case .scored(let priorities) = rule, id >= 0, priorities[Int(id)] == .max { id = -1 }
      append(id, start..<end, to: &symbols)
      start = end
    }
    close(&symbols)
  }

  /// One symbol per character; a character without a piece becomes its bytes' tokens, or unknown, or (without an unknown token)
  /// nothing: ranked merging goes by id.
  func spell(_ word: Span<UInt8>, into symbols: inout [Symbol]) {
    symbols.removeAll(keepingCapacity: true)
    var start = 0
    var isAfterUnknown = false
    while start < word.count {
      let end = min(word.count, start + utf8Length(lead: word[start]))
      if let id = id(ofCharacter: start..<end, of: word) {
        append(id, start..<end, to: &symbols)
        isAfterUnknown = false
      } else if hasByteTokens(word.extracting(start..<end)) {
        for index in start..<end { append(byteTokens[Int(word[index])], index..<index + 1, to: &symbols) }
        isAfterUnknown = false
      } else if let unknownToken {
        if isAfterUnknown, fusesUnknown, let last = symbols.indices.last {
          symbols[last].byteCount += UInt32(end - start)
        } else {
          append(unknownToken, start..<end, to: &symbols)
        }
        isAfterUnknown = true
      }
      start = end
    }
    close(&symbols)
  }

  /// The piece of a character at its place in a word.
  private func id(ofCharacter range: Range<Int>, of word: Span<UInt8>) -> Int32? {
    if affixes == Affixes() { return pieces.id(of: word.extracting(range)) }
    var piece = range.lowerBound > 0 ? affixes.continuing : []
    piece.append(word.extracting(range))
    if range.upperBound == word.count { piece += affixes.ending }
    return pieces.id(of: piece.span)
  }

  /// Appends the tokens of a symbol that is no piece: its bytes, or unknown.
  func appendFallback(_ word: Span<UInt8>, _ symbol: Symbol, to ids: inout [Int32]) {
    let range = Int(symbol.start)..<Int(symbol.start) + Int(symbol.byteCount)
    if hasByteTokens(word.extracting(range)) {
      for index in range { ids.append(byteTokens[Int(word[index])]) }
    } else if let unknownToken {
      if fusesUnknown, ids.last == unknownToken { return }
      ids.append(unknownToken)
    }
  }

  private func hasByteTokens(_ character: Span<UInt8>) -> Bool {
    guard !byteTokens.isEmpty else { return false }
    for index in character.indices where byteTokens[Int(character[index])] < 0 { return false }
    return true
  }

  private func append(_ id: Int32, _ range: Range<Int>, to symbols: inout [Symbol]) {
    let index = Int32(symbols.count)
    symbols.append(
      Symbol(previous: index - 1, next: index + 1, start: UInt32(range.lowerBound), byteCount: UInt32(range.count), id: id))
  }

  private func close(_ symbols: inout [Symbol]) {
    if let last = symbols.indices.last { symbols[last].next = -1 }
  }
}
