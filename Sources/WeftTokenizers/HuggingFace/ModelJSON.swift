// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// `model` and `added_tokens` of tokenizer.json: the vocabulary, and byte-pair encoding over it.
struct ModelJSON {
  let vocabulary: Vocabulary
  let model: BytePairEncoding
  let addedTokens: [AddedTokenEntry]

  /// An id may exceed the number of entries by this factor and this many: a file cannot make Weft reserve more than a small
  /// multiple of its own size by naming one huge id.
  private static let sparseness = (factor: 4, slack: 65_536)

  init(_ root: JSONNode) throws(TokenizerError) {
    let node = try root.required("model")
    try Self.checkKind(node)
    let vocabNode = try node.required("vocab")
    let entries = try vocabNode.members()
    var added: [AddedTokenEntry] = []
    if let list = root["added_tokens"] {
      for element in try list.elements() { added.append(try AddedTokenEntry(element)) }
    }
    addedTokens = added
    let hasByteFallback = try node.bool("byte_fallback", default: false)
    vocabulary = try Self.vocabulary(entries, added, hasByteFallback: hasByteFallback, vocabNode)
    var unknown: Int32?
    if let name = node["unk_token"] {
      let piece = Array(try name.string().utf8)
      guard let id = vocabulary.pieces.id(of: piece.span) else { throw name.mismatch("a piece of the vocabulary") }
      unknown = id
    }
    model = BytePairEncoding(
      rule: .ranked(try Self.merges(try node.required("merges"), vocabulary.pieces)), pieces: vocabulary.pieces,
      byteTokens: hasByteFallback ? BytePairEncoding.byteTokens(of: vocabulary.pieces) : [], unknownToken: unknown,
      fusesUnknown: try node.bool("fuse_unk", default: false),
      ignoresMerges: try node.bool("ignore_merges", default: false))
  }

  /// Older files do not name the kind of a model that has merges.
  private static func checkKind(_ node: JSONNode) throws(TokenizerError) {
    if let type = node["type"] {
      guard try type.string() == "BPE" else { throw type.unsupported(try type.string(), known: ["BPE"]) }
    } else if node["merges"] == nil {
      throw .missing(location: node.location, name: "\"type\"")
    }
    if let dropout = node["dropout"], dropout.json.double != 0 {
      throw .unsupported(location: dropout.location, expected: "no dropout", found: dropout.json.kind)
    }
    for affix in ["continuing_subword_prefix", "end_of_word_suffix"] {
      guard let value = node[affix], try !value.string().isEmpty else { continue }
      throw .unsupported(location: value.location, expected: "no such affix", found: value.json.kind)
    }
  }

  private static func vocabulary(
    _ entries: [(key: String, value: JSONNode)], _ added: [AddedTokenEntry], hasByteFallback: Bool, _ node: JSONNode
  ) throws(TokenizerError) -> Vocabulary {
    let limit = min(Int(Int32.max), (entries.count + added.count) * sparseness.factor + sparseness.slack)
    guard !entries.isEmpty else { throw node.mismatch("a vocabulary with pieces") }
    var piecesByID: [String?] = []
    for (piece, value) in entries {
      let id = try value.int()
      guard id >= 0, id < limit else { throw value.mismatch("an id from 0 to \(limit - 1)") }
      while piecesByID.count <= id { piecesByID.append(nil) }
      if let other = piecesByID[id] {
        throw .malformed(location: value.location, expected: "an id of its own", found: "\(id), which is \"\(other)\"")
      }
      piecesByID[id] = piece
    }
    let modelCount = piecesByID.count
    var addedByID: [Int: AddedTokenEntry] = [:]
    for entry in added {
      let id = Int(entry.token.id)
      guard id < limit else {
        throw .malformed(location: entry.location, expected: "an id below \(limit)", found: "\(id)")
      }
      let content = String(decoding: entry.token.content, as: UTF8.self)
      let other = id < modelCount ? piecesByID[id] : addedByID[id].map { String(decoding: $0.token.content, as: UTF8.self) }
      if let other, !other.utf8.elementsEqual(content.utf8) {
        throw .malformed(
          location: entry.location, expected: "an id of its own for \"\(content)\"", found: "\(id), which is \"\(other)\"")
      }
      addedByID[id] = entry
    }
    return try assemble(piecesByID, addedByID, hasByteFallback: hasByteFallback, node)
  }

  private static func assemble(
    _ modelPieces: [String?], _ added: [Int: AddedTokenEntry], hasByteFallback: Bool, _ node: JSONNode
  ) throws(TokenizerError) -> Vocabulary {
    let count = max(modelPieces.count, (added.keys.max() ?? -1) + 1)
    var pieces = PieceTable(capacity: count)
    var kinds: [Vocabulary.Kind] = []
    var addedIDs: [[UInt8]: Int32] = [:]
    for id in 0..<count {
      let modelPiece = id < modelPieces.count ? modelPieces[id] : nil
      let piece = modelPiece.map { Array($0.utf8) } ?? added[id]?.token.content ?? []
      if let other = pieces.append(piece.span, findable: modelPiece != nil) {
        throw .malformed(
          location: node.location, expected: "every piece once",
          found: "\"\(String(decoding: piece, as: UTF8.self))\" as \(other) and as \(id)")
      }
      if let entry = added[id] {
        kinds.append(entry.token.isSpecial ? .control : .userDefined)
        addedIDs[entry.token.content] = Int32(id)
      } else if modelPiece == nil {
        kinds.append(.unused)
      } else {
        kinds.append(hasByteFallback && TokenTexts.byte(spelledBy: piece) != nil ? .byte : .normal)
      }
    }
    return Vocabulary(pieces: pieces, kinds: kinds, addedIDs: addedIDs)
  }

  /// Merges as "left right", or as a pair.
  private static func merges(_ node: JSONNode, _ pieces: PieceTable) throws(TokenizerError) -> MergeTable {
    let elements = try node.elements()
    var builder = MergeTable.Builder(pieces: pieces, count: elements.count, location: node.location)
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
