// SPDX-License-Identifier: Apache-2.0

package import WeftFormats

extension Tokenizer {
  /// This tokenizer as the metadata of a GGUF file: `tokenizer.ggml.*` and the chat templates.
  ///
  /// GGUF has two kinds of byte-pair encoding: of bytes, with a named way of cutting text ("gpt2"), and SentencePiece's, with
  /// scores ("llama"). Everything else is refused by name, and so is a tokenizer that encodes differently when it is read back.
  /// - Parameters:
  ///   - vocabularySize: rows of the embedding: the list of tokens is filled up with unused ones, as programs that read the file want
  ///     a token for every row.
  ///   - location: the folder, for errors.
  package func ggufMetadata(vocabularySize: Int, location: String) throws(TokenizerError) -> [GGUFWriter.Pair] {
    guard vocabulary.count <= vocabularySize else {
      throw .malformed(
        location: "\(location): tokenizer", expected: "at most \(vocabularySize) tokens, as the embedding has rows",
        found: "\(vocabulary.count)")
    }
    let place = "\(location): tokenizer"
    guard case .bytePair(let model) = pipeline.model else {
      throw .unsupported(location: place, expected: "byte-pair encoding in GGUF", found: "a model of another kind")
    }
    guard model.affixes == BytePairEncoding.Affixes() else {
      throw .unsupported(location: place, expected: "pieces as they stand in a text", found: "a prefix or suffix of pieces")
    }
    var metadata = try isByteLevel ? byteLevelFields(model, place) : sentencePieceFields(model, count: vocabularySize)
    metadata += tokenFields(count: vocabularySize)
    metadata += try specialFields(place)
    try compare(with: metadata, place)
    return metadata
  }

  private var isByteLevel: Bool {
    pipeline.preTokenizers.contains { if case .byteLevel = $0 { true } else { false } }
  }

  // MARK: - Kinds

  private func byteLevelFields(_ model: BytePairEncoding, _ place: String) throws(TokenizerError) -> [GGUFWriter.Pair] {
    guard case .ranked(let merges) = model.rule else {
      throw .unsupported(location: place, expected: "ranked merges of bytes", found: "scores")
    }
    // A normal form changes what few texts contain, and GGUF has no place for it: llama.cpp leaves it out as well.
    let normalizers = pipeline.normalizers.filter { if case .form(.nfc) = $0 { false } else { true } }
    guard normalizers.isEmpty else {
      throw .unsupported(location: "\(place): normalizer", expected: "none, or NFC, with bytes", found: "another one")
    }
    let addsSpace = pipeline.preTokenizers.contains { if case .prefixSpace = $0 { true } else { false } }
    let kind = try PreTokenizerKind.matching(pipeline.preTokenizers, ignoresMerges: model.ignoresMerges, location: place)
    return [
      ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string(kind.names[0])),
      ("tokenizer.ggml.merges", .strings(merges.lines(vocabulary))), ("tokenizer.ggml.add_space_prefix", .bool(addsSpace)),
    ]
  }

  private func sentencePieceFields(_ model: BytePairEncoding, count: Int) -> [GGUFWriter.Pair] {
    // What "a" becomes tells whether a space comes before a text.
    var word = WordList(pipeline.normalize(Array("a".utf8)), startsInput: true)
    for step in pipeline.preTokenizers { step.apply(to: &word) }
    let addsSpace = word.bytes.starts(with: spaceMark)
    var scores: [Float]
    switch model.rule {
    case .scored(let priorities): scores = priorities.map(Tokenizer.score(ofPriority:))
    case .ranked(let merges): scores = merges.scores(count: vocabulary.count)
    }
    scores += [Float](repeating: 0, count: count - scores.count)
    return [
      ("tokenizer.ggml.model", .string("llama")), ("tokenizer.ggml.pre", .string("default")),
      ("tokenizer.ggml.scores", .float32s(scores)), ("tokenizer.ggml.add_space_prefix", .bool(addsSpace)),
    ]
  }

  /// The score of which `SentencePieceModel` made a priority; 0 for pieces that no merge makes.
  private static func score(ofPriority priority: UInt32) -> Float {
    guard priority != .max else { return 0 }
    let ascending = ~priority
    return Float(bitPattern: ascending >> 31 == 1 ? ascending & 0x7FFF_FFFF : ~ascending)
  }

  // MARK: - Tokens

  private func tokenFields(count: Int) -> [GGUFWriter.Pair] {
    var pieces: [String] = []
    var kinds: [Int32] = []
    for id in 0..<Int32(count) {
      let piece = vocabulary.piece(of: id)
      pieces.append(piece ?? "[PAD\(id)]")
      kinds.append(Int32((piece == nil ? .unused : vocabulary.kind(of: id) ?? .unused).rawValue))
    }
    return [("tokenizer.ggml.tokens", .strings(pieces)), ("tokenizer.ggml.token_type", .int32s(kinds))]
  }

  private func specialFields(_ place: String) throws(TokenizerError) -> [GGUFWriter.Pair] {
    var fields: [GGUFWriter.Pair] = []
    for (name, id) in [
      ("bos", beginToken), ("eos", endToken), ("unknown", unknownToken), ("padding", paddingToken),
    ] {
      if let id { fields.append(("tokenizer.ggml.\(name)_token_id", .uint32(UInt32(id)))) }
    }
    guard prefix.isEmpty || prefix == [beginToken], suffix.isEmpty || suffix == [endToken] else {
      throw .unsupported(
        location: "\(place): post_processor", expected: "the begin token before a text and the end token behind it, or none",
        found: "\(prefix) and \(suffix)")
    }
    fields.append(("tokenizer.ggml.add_bos_token", .bool(!prefix.isEmpty)))
    fields.append(("tokenizer.ggml.add_eos_token", .bool(!suffix.isEmpty)))
    for (name, template) in chatTemplates.sorted(by: { $0.key < $1.key }) {
      fields.append(("tokenizer.chat_template" + (name == "default" ? "" : ".\(name)"), .string(template)))
    }
    let others = chatTemplates.keys.filter { $0 != "default" }.sorted()
    if !others.isEmpty { fields.append(("tokenizer.chat_templates", .strings(others))) }
    return fields
  }

  // MARK: - Reading back

  /// Refuses metadata from which another tokenizer comes out.
  private func compare(with metadata: [GGUFWriter.Pair], _ place: String) throws(TokenizerError) {
    let file: GGUFFile
    do { file = try GGUFFile(path: place, metadata: metadata, vectors: []) } catch { throw .format(error) }
    let other = try Tokenizer(metadata: file.metadata, location: place)
    for probe in PreTokenizerKind.probes {
      // NFC is left out knowingly.
      let text = isByteLevel ? String(decoding: pipeline.normalize(Array(probe.utf8)), as: UTF8.self) : probe
      guard encode(text, addSpecial: true, parseSpecial: true) != other.encode(text, addSpecial: true, parseSpecial: true)
      else {
        continue
      }
      throw .unsupported(
        location: place, expected: "a tokenizer that GGUF can hold",
        found: "one that encodes \(JSON.text(text)) differently there")
    }
  }
}

extension MergeTable {
  /// All merges as "left right", the first first.
  fileprivate func lines(_ vocabulary: Vocabulary) -> [String] {
    all.map { merge in
      "\(vocabulary.piece(of: merge.left) ?? "") \(vocabulary.piece(of: merge.right) ?? "")"
    }
  }

  /// SentencePiece's scores: of the pieces that merges make, the earlier one's is higher; all others come last.
  fileprivate func scores(count: Int) -> [Float] {
    var scores = [Float](repeating: -Float(self.count) - 1, count: count)
    var next: Float = 0
    var isKnown = [Bool](repeating: false, count: count)
    for merge in all where !isKnown[Int(merge.merged)] {
      isKnown[Int(merge.merged)] = true
      scores[Int(merge.merged)] = next
      next -= 1
    }
    return scores
  }
}
