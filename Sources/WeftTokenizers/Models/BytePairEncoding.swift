// SPDX-License-Identifier: Apache-2.0

/// "▁" (U+2581), SentencePiece's space, in UTF-8.
let spaceMark: [UInt8] = [0xE2, 0x96, 0x81]

/// Byte-pair encoding: a word starts as its characters, and the best pair of neighbours merges until none can.
///
/// Two kinds differ in what "best" means. *Ranked* (GPT-2 and the `BPE` model of tokenizer.json, Sennrich et al. 2016): a list
/// of merges in the order in which they were learnt. *Scored* (SentencePiece's BPE): any two neighbours that spell a piece, the
/// piece with the highest score first. Ties go to the left. Time is O(n log n) in the length of the word.
struct BytePairEncoding: Sendable {
  enum Rule: Sendable {
    /// Characters without a piece become bytes (or unknown) before merging.
    case ranked(MergeTable)
    /// `priorities[id]`: less is earlier; `UInt32.max` for pieces that no merge may produce. Characters without a piece become
    /// bytes (or unknown) after merging.
    case scored(priorities: [UInt32])
  }

  let rule: Rule
  /// The pieces that words are spelled in.
  let pieces: PieceTable
  /// Ids of `<0x00>` ... `<0xFF>`, -1 where there is none; empty without byte fallback.
  let byteTokens: [Int32]
  let unknownToken: Int32?
  /// Neighbouring unknown characters become one unknown token.
  let fusesUnknown: Bool
  /// A word that is a piece is that piece, whatever the merges would make of it.
  let ignoresMerges: Bool
  /// What pieces have in front that do not begin a word, and behind when they end one (`</w>`); usually nothing.
  let affixes: Affixes

  /// Spelled in the pieces, and no part of the text.
  struct Affixes: Sendable, Equatable {
    var continuing: [UInt8] = []
    var ending: [UInt8] = []
  }

  /// No piece holds "▁" behind another character: merges never cross such a place, and a word may be cut there beforehand.
  /// Whole texts arrive as one word in SentencePiece's way; cutting keeps their queues short.
  let cutsAtSpaces: Bool

  init(
    rule: Rule, pieces: PieceTable, byteTokens: [Int32], unknownToken: Int32?, fusesUnknown: Bool, ignoresMerges: Bool,
    affixes: Affixes = Affixes()
  ) {
    self.rule = rule
    self.pieces = pieces
    self.byteTokens = byteTokens
    self.unknownToken = unknownToken
    self.fusesUnknown = fusesUnknown
    self.ignoresMerges = ignoresMerges
    self.affixes = affixes
    // With the mark itself a piece, no run of unknown characters crosses the place either.
    cutsAtSpaces =
      !ignoresMerges && affixes == Affixes() && pieces.id(of: spaceMark.span) != nil
      && (0..<Int32(pieces.count)).allSatisfy { Self.spaceBehindCharacter(in: pieces[$0].span, from: 0) == nil }
  }

  /// One link of the list that a word becomes.
  struct Symbol {
    var previous: Int32
    /// -1 behind the last symbol.
    var next: Int32
    var start: UInt32
    /// 0 once merged into the left neighbour.
    var byteCount: UInt32
    /// -1: characters that are no piece.
    var id: Int32
  }

  /// Memory of the merge loop, kept from word to word. One thread uses it at a time.
  struct Workspace {
    var symbols: [Symbol] = []
    var queue = MergeQueue()
  }

  /// Positions are 32 bits wide: longer words are cut here.
  private static let longestWord = 1 << 30

  /// Appends the ids of one word (UTF-8) to `ids`.
  func encode(_ word: Span<UInt8>, into ids: inout [Int32], workspace: inout Workspace) {
    var start = 0
    while start < word.count {
      var end = cutsAtSpaces ? Self.spaceBehindCharacter(in: word, from: start) ?? word.count : word.count
      if end - start > Self.longestWord {
        end = start + Self.longestWord
        while word[end] & 0xC0 == 0x80 { end -= 1 }
      }
      encodePart(word.extracting(start..<end), into: &ids, workspace: &workspace)
      start = end
    }
  }

  /// Where "▁" follows another character, at or behind `start`.
  private static func spaceBehindCharacter(in text: Span<UInt8>, from start: Int) -> Int? {
    var isBehindCharacter = false
    var index = start
    while index < text.count {
      if text[index] == 0xE2, text.count - index >= 3, text[index + 1] == 0x96, text[index + 2] == 0x81 {
        if isBehindCharacter { return index }
        index += 3
      } else {
        isBehindCharacter = true
        index += 1
      }
    }
    return nil
  }

  private func encodePart(_ word: Span<UInt8>, into ids: inout [Int32], workspace: inout Workspace) {
    if ignoresMerges, let id = pieces.id(of: word) {
      ids.append(id)
      return
    }
    switch rule {
    case .ranked(let merges):
      spell(word, into: &workspace.symbols)
      merge(&workspace) { left, right in
        merges.merge(left.id, right.id).map { (UInt32($0.rank), $0.merged) }
      }
    case .scored(let priorities):
      spellCharacters(word, into: &workspace.symbols)
      merge(&workspace) { left, right in
        let start = Int(left.start)
        let end = Int(right.start) + Int(right.byteCount)
        guard let id = pieces.id(of: word.extracting(start..<end)), priorities[Int(id)] != .max else { return nil }
        return (priorities[Int(id)], id)
      }
    }
    for symbol in workspace.symbols where symbol.byteCount > 0 {
      if symbol.id >= 0 {
        ids.append(symbol.id)
      } else {
        appendFallback(word, symbol, to: &ids)
      }
    }
  }

  /// Merges until no candidate is left; `candidate` gives priority and id of what two symbols become.
  @inline(__always)
  private func merge(_ workspace: inout Workspace, candidate: (Symbol, Symbol) -> (UInt32, Int32)?) {
    guard workspace.symbols.count > 1 else { return }
    workspace.queue.removeAll()
    for index in 1..<workspace.symbols.count {
      if let found = Self.pair(workspace.symbols, Int32(index - 1), Int32(index), candidate) {
        workspace.queue.appendUnordered(found)
      }
    }
    workspace.queue.order()
    while let best = workspace.queue.popFirst() {
      let left = Int(UInt32(truncatingIfNeeded: best.key))
      let right = Int(workspace.symbols[left].next)
      guard workspace.symbols[left].byteCount > 0, right >= 0 else { continue }
      guard workspace.symbols[left].byteCount + workspace.symbols[right].byteCount == best.byteCount else { continue }
      let next = workspace.symbols[right].next
      workspace.symbols[left].byteCount = best.byteCount
      workspace.symbols[left].id = best.merged
      workspace.symbols[left].next = next
      workspace.symbols[right].byteCount = 0
      if next >= 0 {
        workspace.symbols[Int(next)].previous = Int32(left)
        if let found = Self.pair(workspace.symbols, Int32(left), next, candidate) { workspace.queue.insert(found) }
      }
      let previous = workspace.symbols[left].previous
      if previous >= 0, let found = Self.pair(workspace.symbols, previous, Int32(left), candidate) {
        workspace.queue.insert(found)
      }
    }
  }

  @inline(__always)
  private static func pair(
    _ symbols: [Symbol], _ left: Int32, _ right: Int32, _ candidate: (Symbol, Symbol) -> (UInt32, Int32)?
  ) -> MergeQueue.Candidate? {
    guard let (priority, merged) = candidate(symbols[Int(left)], symbols[Int(right)]) else { return nil }
    return MergeQueue.Candidate(
      key: UInt64(priority) << 32 | UInt64(UInt32(bitPattern: left)), merged: merged,
      byteCount: symbols[Int(left)].byteCount + symbols[Int(right)].byteCount)
  }
}
