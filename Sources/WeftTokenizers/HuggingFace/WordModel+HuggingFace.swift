// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

// `model` of tokenizer.json, kind by kind, over a vocabulary that has been read.

extension JSONNode {
  /// The id of `unk_token`, which has to be a piece; nil when there is none.
  func unknownToken(in vocabulary: Vocabulary) throws(TokenizerError) -> Int32? {
    guard let name = self["unk_token"] else { return nil }
    guard let id = vocabulary.pieces.id(of: Array(try name.string().utf8).span) else {
      throw name.mismatch("a piece of the vocabulary")
    }
    return id
  }
}

extension BytePairEncoding {
  init(_ node: JSONNode, _ vocabulary: Vocabulary, hasByteFallback: Bool) throws(TokenizerError) {
    if let dropout = node["dropout"], dropout.json.double != 0 {
      throw .unsupported(location: dropout.location, expected: "no dropout", found: dropout.json.kind)
    }
    var affixes = Affixes()
    if node["continuing_subword_prefix"] != nil { affixes.continuing = try node.text("continuing_subword_prefix") }
    if node["end_of_word_suffix"] != nil { affixes.ending = try node.text("end_of_word_suffix") }
    let unknown = try node.unknownToken(in: vocabulary)
    self.init(
      rule: .ranked(try Self.merges(try node.required("merges"), vocabulary.pieces, affixes.continuing)),
      pieces: vocabulary.pieces, byteTokens: hasByteFallback ? Self.byteTokens(of: vocabulary.pieces) : [],
      unknownToken: unknown, fusesUnknown: try node.bool("fuse_unk", default: false),
      ignoresMerges: try node.bool("ignore_merges", default: false), affixes: affixes)
  }

  /// Merges as "left right", or as a pair.
  private static func merges(
    _ node: JSONNode, _ pieces: PieceTable, _ continuing: [UInt8]
  ) throws(TokenizerError) -> MergeTable {
    let elements = try node.elements()
    var builder = MergeTable.Builder(
      pieces: pieces, count: elements.count, location: node.location, continuing: continuing)
    for element in elements {
      if let line = element.json.string {
        try builder.append(line: line)
      } else {
        let parts = try element.elements()
        guard parts.count == 2 else { throw element.mismatch("two pieces") }
        try builder.append(left: Array(try parts[0].string().utf8), right: Array(try parts[1].string().utf8))
      }
    }
    return builder.table
  }
}

extension Unigram {
  init(
    _ node: JSONNode, _ vocabulary: Vocabulary, _ scores: [Double], hasByteFallback: Bool
  ) throws(TokenizerError) {
    var unknown: Int32?
    if let place = node["unk_id"] {
      guard let id = Int32(exactly: try place.int()), id >= 0, Int(id) < scores.count else {
        throw place.mismatch("an id below \(scores.count)")
      }
      unknown = id
    }
    self.init(
      trie: PieceTrie(scores.indices.map { (Array(vocabulary.pieces[Int32($0)]), Int32($0)) }), pieces: vocabulary.pieces,
      scores: scores, unknownToken: unknown, unknownScore: (scores.min() ?? 0) - Self.unknownPenalty,
      byteTokens: hasByteFallback ? BytePairEncoding.byteTokens(of: vocabulary.pieces) : [])
  }
}

extension WordPiece {
  init(_ node: JSONNode, _ vocabulary: Vocabulary) throws(TokenizerError) {
    guard let unknown = try node.unknownToken(in: vocabulary) else {
      throw .missing(location: node.location, name: "\"unk_token\"")
    }
    self.init(
      vocabulary, mark: try node.text("continuing_subword_prefix"), unknownToken: unknown,
      longestWord: try node.count("max_input_chars_per_word"))
  }

  /// Pieces that begin with `mark` continue a word.
  init(_ vocabulary: Vocabulary, mark: [UInt8], unknownToken: Int32, longestWord: Int) {
    let pieces = (0..<Int32(vocabulary.count)).map { (piece: Array(vocabulary.pieces[$0]), id: $0) }
      .filter { vocabulary.pieces.id(of: $0.piece.span) == $0.id }
    self.init(
      beginnings: PieceTrie(pieces),
      continuations: PieceTrie(pieces.filter { $0.piece.starts(with: mark) }.map { (Array($0.piece[mark.count...]), $0.id) }),
      unknownToken: unknownToken, longestWord: longestWord)
  }
}
