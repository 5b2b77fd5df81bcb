// SPDX-License-Identifier: Apache-2.0

package import WeftTokenizers

/// Texts that no repetition reaches across, as tokens: in how many ways a vocabulary can spell them.
package struct SequenceBreakers: Sendable {
  /// By the token in which a breaker begins: the tokens behind it that complete the breaker. An empty list: the token holds
  /// all of it.
  private var tails: [Int32: [[Int32]]] = [:]

  /// Tokens that a tail has at most; longer breakers are cut.
  private static let maximumTail = 20

  /// No breakers.
  package init() {}

  /// A breaker of every list of tokens that is not empty.
  package init(_ sequences: [[Int32]]) {
    for sequence in sequences where !sequence.isEmpty { add(Array(sequence.dropFirst()), behind: sequence[0]) }
  }

  /// A breaker begins wherever a token holds it, or ends with the beginning of it; the rest is tokenized for itself.
  package init(_ strings: [String], _ tokenizer: Tokenizer) {
    let texts = strings.map { Array($0.utf8) }
    var tokens: [[UInt8]: [Int32]] = [:]
    for id in 0..<Int32(tokenizer.vocabularySize) {
      let token = tokenizer.bytes(of: id)
      for text in texts {
        if SequenceBreakers.holds(token, text) {
          add([], behind: id)
          continue
        }
        for length in 1..<max(1, min(text.count, token.count + 1)) where token.suffix(length).elementsEqual(text[..<length]) {
          let rest = Array(text[length...])
          if tokens[rest] == nil {
            let ids = tokenizer.encode(String(decoding: rest, as: UTF8.self), addSpecial: false, parseSpecial: false)
            tokens[rest] = Array(ids.prefix(SequenceBreakers.maximumTail))
          }
          add(tokens[rest] ?? [], behind: id)
        }
      }
    }
  }

  /// How many tokens lie behind the last breaker of a text; nil when there is none. `reversed` gives the tokens of the text
  /// from its end.
  func distance(count: Int, reversed: (Int) -> Int32) -> Int? {
    guard !tails.isEmpty else { return nil }
    for place in 0..<count {
      guard let candidates = tails[reversed(place)] else { continue }
      var longest: Int?
      for tail in candidates where tail.count <= place && tail.count > longest ?? -1 {
        if tail.indices.allSatisfy({ tail[$0] == reversed(place - 1 - $0) }) { longest = tail.count }
      }
      if let longest { return place - longest }
    }
    return nil
  }

  private mutating func add(_ tail: [Int32], behind head: Int32) {
    if tails[head]?.contains(tail) != true { tails[head, default: []].append(tail) }
  }

  private static func holds(_ token: [UInt8], _ text: [UInt8]) -> Bool {
    guard let first = text.first, token.count >= text.count else { return false }
    return (0...token.count - text.count).contains { token[$0] == first && token[$0..<$0 + text.count].elementsEqual(text) }
  }
}
