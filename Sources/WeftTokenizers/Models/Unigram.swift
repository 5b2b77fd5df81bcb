// SPDX-License-Identifier: Apache-2.0

/// A unigram language model: of all ways to spell a word in pieces, the one with the highest sum of scores
/// (Kudo 2018, "Subword Regularization"; the search is Viterbi's). Time is linear in the word times the longest piece.
struct Unigram: Sendable {
  /// The pieces that words are spelled in.
  let trie: PieceTrie
  let pieces: PieceTable
  /// The logarithm of every piece's probability, by id.
  let scores: [Double]
  /// nil: characters that no piece spells are left out.
  let unknownToken: Int32?
  /// What a character without a piece costs: less than any piece.
  let unknownScore: Double
  /// Ids of `<0x00>` ... `<0xFF>`; empty without byte fallback.
  let byteTokens: [Int32]

  /// How much worse than the worst piece a character without a piece is, in SentencePiece and in `tokenizers`.
  static let unknownPenalty = 10.0

  /// The best way to each place of a word, kept from word to word.
  struct Workspace {
    fileprivate var best: [Step] = []
    fileprivate var path: [(range: Range<Int>, id: Int32)] = []
  }

  /// The last piece of the best spelling up to a place.
  fileprivate struct Step {
    var score = 0.0
    /// Where the piece begins; -1: no spelling ends here.
    var start = -1
    /// -1: a character without a piece.
    var id: Int32 = -1
  }

  func encode(_ word: Span<UInt8>, into ids: inout [Int32], workspace: inout Workspace) {
    search(word, &workspace.best)
    workspace.path.removeAll(keepingCapacity: true)
    var end = word.count
    while end > 0 {
      let step = workspace.best[end]
      if step.id < 0, let last = workspace.path.indices.last, workspace.path[last].id < 0 {
        // Neighbouring unknown characters are one.
        workspace.path[last].range = step.start..<workspace.path[last].range.upperBound
      } else {
        workspace.path.append((step.start..<end, step.id))
      }
      end = step.start
    }
    for part in workspace.path.reversed() {
      if part.id >= 0 { ids.append(part.id) } else { appendUnknown(word.extracting(part.range), to: &ids) }
    }
  }

  private func search(_ word: Span<UInt8>, _ best: inout [Step]) {
    best.removeAll(keepingCapacity: true)
    best.append(contentsOf: repeatElement(Step(), count: word.count + 1))
    var start = 0
    while start < word.count {
      let scoreHere = best[start].score
      let characterLength = min(utf8Length(lead: word[start]), word.count - start)
      var isSpelled = false
      trie.forEachPrefix(of: word, from: start) { length, id in
        let score = scoreHere + scores[Int(id)]
        if best[start + length].start < 0 || score > best[start + length].score {
          best[start + length] = Step(score: score, start: start, id: id == unknownToken ? -1 : id)
        }
        if length == characterLength { isSpelled = true }
      }
      if !isSpelled {
        let end = start + characterLength
        let score = scoreHere + unknownScore
        if best[end].start < 0 || score > best[end].score { best[end] = Step(score: score, start: start, id: -1) }
      }
      start += characterLength
    }
  }

  private func appendUnknown(_ text: Span<UInt8>, to ids: inout [Int32]) {
    if let id = pieces.id(of: text) {
      ids.append(id)
      return
    }
    if !byteTokens.isEmpty {
      let count = ids.count
      for index in text.indices where byteTokens[Int(text[index])] >= 0 { ids.append(byteTokens[Int(text[index])]) }
      if ids.count - count == text.count { return }
      ids.removeLast(ids.count - count)
    }
    if let unknownToken { ids.append(unknownToken) }
  }
}
