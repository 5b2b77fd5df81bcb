// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// SentencePiece's own file (`tokenizer.model`, `spiece.model`): a protocol buffer, sentencepiece_model.proto.
extension SentencePieceModel {
  /// Maps and reads the file at `path`.
  init(file path: String) throws(TokenizerError) {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw .format(.storage(error)) }
    defer { withExtendedLifetime(storage) {} }
    try self.init(UnsafeRawBufferPointer(storage.bytes), location: path)
  }

  private init(_ bytes: UnsafeRawBufferPointer, location: String) throws(TokenizerError) {
    var pieces: [Range<Int>] = []
    var settings = Settings()
    var model = ProtobufReader(bytes, 0..<bytes.count, location: location)
    while let (number, value) = try model.next() {
      guard case .bytes(let range) = value else { continue }
      switch number {
      case 1: pieces.append(range)
      case 2: try settings.readTrainer(ProtobufReader(bytes, range, location: location))
      case 3: try settings.readNormalizer(ProtobufReader(bytes, range, location: location), bytes)
      default: break
      }
    }
    guard !pieces.isEmpty, pieces.count < Int(Int32.max) else {
      throw .malformed(location: location, expected: "a SentencePiece model with pieces", found: "\(pieces.count) pieces")
    }
    var table = PieceTable(capacity: pieces.count)
    var kinds: [Vocabulary.Kind] = []
    scores = []
    for (id, range) in pieces.enumerated() {
      let piece = try Piece(ProtobufReader(bytes, range, location: location), bytes, "\(location): piece \(id)")
      if let other = table.append(piece.text.span, findable: true) {
        throw .malformed(
          location: location, expected: "every piece once",
          found: "\"\(String(decoding: piece.text, as: UTF8.self))\" as \(other) and as \(id)")
      }
      kinds.append(piece.kind)
      scores.append(piece.score)
    }
    var vocabulary = Vocabulary(pieces: table, kinds: kinds)
    func id(_ value: Int32) -> Int32? { vocabulary.contains(value) ? value : nil }
    (vocabulary.unknownToken, vocabulary.beginToken) = (id(settings.unknown), id(settings.begin))
    (vocabulary.endToken, vocabulary.paddingToken) = (id(settings.end), id(settings.padding))
    self.vocabulary = vocabulary
    switch settings.kind {
    case 1: kind = .unigram
    case 2: kind = .bytePair
    default:
      let name = settings.kind == 3 ? "WORD" : settings.kind == 4 ? "CHAR" : "\(settings.kind)"
      throw .unsupported(location: location, expected: "UNIGRAM or BPE", found: "the SentencePiece model type \(name)")
    }
    hasByteFallback = settings.hasByteFallback
    addsSpacePrefix = settings.addsSpacePrefix
    collapsesSpaces = settings.collapsesSpaces
    characterMap = settings.characterMap
    findsSymbolsInPreparedText = true
    self.location = location
    if settings.hasSpaceSuffix {
      throw .unsupported(location: location, expected: "spaces before words", found: "treat_whitespace_as_suffix")
    }
    if !settings.escapesSpaces {
      throw .unsupported(location: location, expected: "spaces as U+2581", found: "escape_whitespaces off")
    }
  }

  /// One message `SentencePiece`.
  private struct Piece {
    var text: [UInt8] = []
    var score: Float = 0
    var kind = Vocabulary.Kind.normal

    init(_ reader: ProtobufReader, _ bytes: UnsafeRawBufferPointer, _ location: String) throws(TokenizerError) {
      var reader = reader
      while let (number, value) = try reader.next() {
        switch (number, value) {
        case (1, .bytes(let range)): text = Array(bytes[range])
        case (2, .fixed32(let bits)): score = Float(bitPattern: bits)
        case (3, .integer(let raw)):
          guard let known = UInt8(exactly: raw).flatMap(Vocabulary.Kind.init(rawValue:)) else {
            throw .malformed(location: location, expected: "a type from 1 to 6", found: "\(raw)")
          }
          kind = known
        default: break
        }
      }
      guard !text.isEmpty, String(validating: text, as: UTF8.self) != nil else {
        throw .malformed(location: location, expected: "a text in UTF-8", found: "\(text.count) bytes")
      }
      guard score.isFinite else { throw .malformed(location: location, expected: "a score", found: "\(score)") }
    }
  }

  /// What `TrainerSpec` and `NormalizerSpec` say, with the defaults of the format.
  private struct Settings {
    var kind: UInt64 = 1
    var hasByteFallback = false
    var hasSpaceSuffix = false
    var unknown: Int32 = 0
    var begin: Int32 = 1
    var end: Int32 = 2
    var padding: Int32 = -1
    var addsSpacePrefix = true
    var collapsesSpaces = true
    var escapesSpaces = true
    var characterMap: [UInt8] = []

    mutating func readTrainer(_ reader: ProtobufReader) throws(TokenizerError) {
      var reader = reader
      while let (number, value) = try reader.next() {
        guard case .integer(let raw) = value else { continue }
        switch number {
        case 3: kind = raw
        case 24: hasSpaceSuffix = raw != 0
        case 35: hasByteFallback = raw != 0
        case 40: unknown = Int32(truncatingIfNeeded: raw)
        case 41: begin = Int32(truncatingIfNeeded: raw)
        case 42: end = Int32(truncatingIfNeeded: raw)
        case 43: padding = Int32(truncatingIfNeeded: raw)
        default: break
        }
      }
    }

    mutating func readNormalizer(_ reader: ProtobufReader, _ bytes: UnsafeRawBufferPointer) throws(TokenizerError) {
      var reader = reader
      while let (number, value) = try reader.next() {
        switch (number, value) {
        case (2, .bytes(let range)): characterMap = Array(bytes[range])
        case (3, .integer(let raw)): addsSpacePrefix = raw != 0
        case (4, .integer(let raw)): collapsesSpaces = raw != 0
        case (5, .integer(let raw)): escapesSpaces = raw != 0
        default: break
        }
      }
    }
  }
}
