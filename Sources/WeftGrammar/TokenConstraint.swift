// SPDX-License-Identifier: Apache-2.0

/// What a grammar says about the tokens of one sequence. Its memory is reserved once.
///
/// A token is permitted when the text with its bytes can be completed, wherever in a character it begins or ends. Tokens that
/// end the answer are permitted where the text may end.
package final class TokenConstraint {
  private let table: TokenTable
  private let matcher: GrammarMatcher
  private let endTokens: Set<Int32>
  private let words: UnsafeMutablePointer<UInt64>
  private let wordCount: Int
  /// The states behind the bytes of a token.
  private let path: UnsafeMutablePointer<GrammarMatcher.State>

  /// `maskSize`: how many ids a mask has, at least those of the table.
  package init(
    _ grammar: Grammar, table: TokenTable, endTokens: Set<Int32>, maskSize: Int
  ) throws(GrammarError) {
    self.table = table
    self.endTokens = endTokens
    matcher = try GrammarMatcher(grammar)
    wordCount = (max(maskSize, table.count) + 63) / 64
    words = .allocate(capacity: wordCount)
    path = .allocate(capacity: table.longest + 1)
  }

  deinit {
    words.deallocate()
    path.deallocate()
  }

  /// Whether the text is complete and nothing can follow it.
  package var isComplete: Bool { matcher.accepts(matcher.current) && matcher.isAtEnd(matcher.current) }

  /// Whether the text may end here.
  package var mayEnd: Bool { matcher.accepts(matcher.current) }

  /// Whether this token may come next.
  package func permits(_ id: Int32) throws(GrammarError) -> Bool {
    if endTokens.contains(id) { return mayEnd }
    let bytes = table[id]
    return bytes.isEmpty ? false : try matcher.permits(bytes)
  }

  /// A bit for each token, set when it may come next; valid until the next call.
  package func mask() throws(GrammarError) -> UnsafePointer<UInt64> {
    words.update(repeating: 0, count: wordCount)
    try table.bytes.withUnsafeBufferPointer { (bytes) throws(GrammarError) in
      try table.starts.withUnsafeBufferPointer { (starts) throws(GrammarError) in try follow(bytes, starts) }
    }
    for id in endTokens where id >= 0 && Int(id) < wordCount * 64 {
      words[Int(id) / 64] &= ~(1 << UInt64(id % 64))
      if mayEnd { set(id) }
    }
    return UnsafePointer(words)
  }

  /// Goes on behind a token that is permitted. False, and nothing changed, when it is not.
  @discardableResult
  package func accept(_ id: Int32) throws(GrammarError) -> Bool {
    if endTokens.contains(id) { return mayEnd }
    let bytes = table[id]
    return bytes.isEmpty ? false : try matcher.accept(bytes)
  }

  /// Sets the bits of the tokens whose bytes can be followed, one after another, each from where it differs from the last one.
  private func follow(
    _ bytes: UnsafeBufferPointer<UInt8>, _ starts: UnsafeBufferPointer<Int>
  ) throws(GrammarError) {
    path[0] = matcher.current
    // How many bytes of the last token could be followed.
    var depth = 0
    for place in table.order.indices {
      let common = table.common[place]
      // The byte that stopped the last token stops this one.
      if common > depth { continue }
      let id = table.order[place]
      let (start, end) = (starts[Int(id)], starts[Int(id) + 1])
      depth = common
      while start + depth < end, let next = try matcher.next(path[depth], bytes[start + depth]) {
        depth += 1
        path[depth] = next
      }
      if start + depth == end { set(id) }
    }
  }

  private func set(_ id: Int32) { words[Int(id) / 64] |= 1 << UInt64(id % 64) }
}
