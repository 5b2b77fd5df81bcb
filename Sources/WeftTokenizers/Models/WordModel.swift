// SPDX-License-Identifier: Apache-2.0

/// How a word becomes pieces: the part of a tokenizer that training makes.
enum WordModel: Sendable {
  case bytePair(BytePairEncoding)
  case unigram(Unigram)
  case wordPiece(WordPiece)
  case wordLevel(WordLevel)

  /// Memory that is kept from word to word. One thread uses it at a time.
  struct Workspace {
    var merging = BytePairEncoding.Workspace()
    var lattice = Unigram.Workspace()
  }

  /// Appends the ids of one word (UTF-8) to `ids`.
  func encode(_ word: Span<UInt8>, into ids: inout [Int32], workspace: inout Workspace) {
    switch self {
    case .bytePair(let model): model.encode(word, into: &ids, workspace: &workspace.merging)
    case .unigram(let model): model.encode(word, into: &ids, workspace: &workspace.lattice)
    case .wordPiece(let model): model.encode(word, into: &ids)
    case .wordLevel(let model): model.encode(word, into: &ids)
    }
  }

  /// The id for text that no piece spells, when the model has one.
  var unknownToken: Int32? {
    switch self {
    case .bytePair(let model): model.unknownToken
    case .unigram(let model): model.unknownToken
    case .wordPiece(let model): model.unknownToken
    case .wordLevel(let model): model.unknownToken
    }
  }
}

/// Every word is one piece, or unknown.
struct WordLevel: Sendable {
  let pieces: PieceTable
  /// nil: words that are no piece are left out.
  let unknownToken: Int32?

  func encode(_ word: Span<UInt8>, into ids: inout [Int32]) {
    if let id = pieces.id(of: word) ?? unknownToken { ids.append(id) }
  }
}
