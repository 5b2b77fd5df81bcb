// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// `model` and `added_tokens` of tokenizer.json: the vocabulary, and the model over it.
struct ModelJSON {
  let vocabulary: Vocabulary
  let model: WordModel
  let addedTokens: [AddedTokenEntry]

  /// The kinds of models that Weft runs.
  enum Kind: String, CaseIterable {
    case bytePair = "BPE"
    case unigram = "Unigram"
    case wordPiece = "WordPiece"
    case wordLevel = "WordLevel"
  }

  /// An id may exceed the number of entries by this factor and this many: a file cannot make Weft reserve more than a small
  /// multiple of its own size by naming one huge id.
  private static let sparseness = (factor: 4, slack: 65_536)

  init(_ root: JSONNode) throws(TokenizerError) {
    let node = try root.required("model")
    let kind = try Self.kind(node)
    var added: [AddedTokenEntry] = []
    if let list = root["added_tokens"] {
      for element in try list.elements() { added.append(try AddedTokenEntry(element)) }
    }
    addedTokens = added
    let hasByteFallback = try node.bool("byte_fallback", default: false)
    let vocabNode = try node.required("vocab")
    if kind == .unigram {
      let (pieces, scores) = try Self.scoredPieces(vocabNode)
      vocabulary = try Self.vocabulary(pieces, added, hasByteFallback: hasByteFallback, location: vocabNode.location)
      model = .unigram(try Unigram(node, vocabulary, scores, hasByteFallback: hasByteFallback))
      return
    }
    var pieces: [(piece: String, id: Int)] = []
    for (piece, value) in try vocabNode.members() { pieces.append((piece, try value.int())) }
    vocabulary = try Self.vocabulary(pieces, added, hasByteFallback: hasByteFallback, location: vocabNode.location)
    switch kind {
    case .wordPiece: model = .wordPiece(try WordPiece(node, vocabulary))
    case .wordLevel:
      model = .wordLevel(WordLevel(pieces: vocabulary.pieces, unknownToken: try node.unknownToken(in: vocabulary)))
    case .bytePair, .unigram:
      model = .bytePair(try BytePairEncoding(node, vocabulary, hasByteFallback: hasByteFallback))
    }
  }

  /// Older files do not name the kind of a model that has merges.
  private static func kind(_ node: JSONNode) throws(TokenizerError) -> Kind {
    guard let type = node["type"] else {
      if node["merges"] != nil { return .bytePair }
      throw .missing(location: node.location, name: "\"type\"")
    }
    let spelling = try type.string()
    guard let kind = Kind(rawValue: spelling) else { throw type.unsupported(spelling, known: Kind.allCases.map(\.rawValue)) }
    return kind
  }

  /// `[[piece, score], ...]`: a piece's id is its place.
  private static func scoredPieces(
    _ node: JSONNode
  ) throws(TokenizerError) -> (pieces: [(piece: String, id: Int)], scores: [Double]) {
    var pieces: [(piece: String, id: Int)] = []
    var scores: [Double] = []
    for (id, element) in try node.elements().enumerated() {
      let parts = try element.elements()
      guard parts.count == 2, let score = parts[1].json.double, score.isFinite else {
        throw element.mismatch("a piece and its score")
      }
      pieces.append((try parts[0].string(), id))
      scores.append(score)
    }
    return (pieces, scores)
  }

  /// Pieces with their ids, and added tokens, checked against each other. `location` names the list of pieces.
  static func vocabulary(
    _ entries: [(piece: String, id: Int)], _ added: [AddedTokenEntry], hasByteFallback: Bool, location: String
  ) throws(TokenizerError) -> Vocabulary {
    let limit = min(Int(Int32.max), (entries.count + added.count) * sparseness.factor + sparseness.slack)
    guard !entries.isEmpty else { throw .malformed(location: location, expected: "a vocabulary with pieces", found: "none") }
    var piecesByID: [String?] = []
    for (piece, id) in entries {
      guard id >= 0, id < limit else {
        throw .malformed(location: "\(location)[\"\(piece)\"]", expected: "an id from 0 to \(limit - 1)", found: "\(id)")
      }
      while piecesByID.count <= id { piecesByID.append(nil) }
      if let other = piecesByID[id] {
        throw .malformed(
          location: "\(location)[\"\(piece)\"]", expected: "an id of its own", found: "\(id), which is \"\(other)\"")
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
    return try assemble(piecesByID, addedByID, hasByteFallback: hasByteFallback, location: location)
  }

  private static func assemble(
    _ modelPieces: [String?], _ added: [Int: AddedTokenEntry], hasByteFallback: Bool, location: String
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
          location: location, expected: "every piece once",
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
}
