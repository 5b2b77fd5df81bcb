// SPDX-License-Identifier: Apache-2.0

/// WordPiece (BERT, Devlin et al. 2018): a word is its longest piece, then the longest continuing piece, and so on. A word that
/// cannot be spelled to its end is unknown as a whole.
struct WordPiece: Sendable {
  /// Pieces that begin a word.
  let beginnings: PieceTrie
  /// Pieces that continue one, without the mark that says so (`##`).
  let continuations: PieceTrie
  let unknownToken: Int32
  /// Words of more characters are unknown.
  let longestWord: Int

  func encode(_ word: Span<UInt8>, into ids: inout [Int32]) {
    var characterCount = 0
    for index in word.indices where word[index] & 0xC0 != 0x80 { characterCount += 1 }
    let first = ids.count
    var start = 0
    while characterCount <= longestWord, start < word.count {
      guard let (length, id) = (start == 0 ? beginnings : continuations).longestPrefix(of: word, from: start) else { break }
      ids.append(id)
      start += length
    }
    if start < word.count {
      ids.removeLast(ids.count - first)
      ids.append(unknownToken)
    }
  }
}
