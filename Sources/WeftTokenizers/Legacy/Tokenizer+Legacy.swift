// SPDX-License-Identifier: Apache-2.0

extension Tokenizer {
  /// The tokenizer in a folder of transformers without tokenizer.json: `vocab.json` and `merges.txt` (or OpenAI's `encoder.json`
  /// and `vocab.bpe`), `tokenizer.model` or `spiece.model`, or `vocab.txt`. The class that the configuration names says which.
  convenience init(legacyFolder path: String, _ config: TokenizerConfig) throws(TokenizerError) {
    let folder = try LegacyFolder(path, config)
    switch folder.kind.files {
    case .byteLevel(let pre, let form): try self.init(byteLevel: folder, pre: pre, form: form)
    case .sentencePiece: try self.init(sentencePiece: folder)
    case .wordPiece: try self.init(wordPiece: folder)
    }
  }

  private convenience init(
    byteLevel folder: LegacyFolder, pre: String, form: Normalizer.UnicodeForm?
  ) throws(TokenizerError) {
    let vocabFile = try folder.file("vocab.json", "encoder.json")
    let mergesFile = try folder.file("merges.txt", "vocab.bpe")
    let root = try TokenizerConfig.object(vocabFile)
    var pieces: [(piece: String, id: Int)] = []
    for (piece, value) in try root.members() { pieces.append((piece, try value.int())) }
    let added = try folder.addedTokens { content in
      pieces.first { $0.piece.utf8.elementsEqual(content.utf8) }.flatMap { Int32(exactly: $0.id) }
    }
    var vocabulary = try ModelJSON.vocabulary(pieces, added, hasByteFallback: false, location: vocabFile)

    var lines = try LegacyFolder.lines(mergesFile)
    if lines.first?.hasPrefix("#version") == true { lines.removeFirst() }
    var builder = MergeTable.Builder(pieces: vocabulary.pieces, count: lines.count, location: mergesFile)
    for line in lines where !line.isEmpty { try builder.append(line: String(line)) }

    let kind = try PreTokenizerKind.named(pre, location: folder.path)
    let around = try folder.finish(&vocabulary)
    let model = BytePairEncoding(
      rule: .ranked(builder.table), pieces: vocabulary.pieces, byteTokens: [], unknownToken: vocabulary.unknownToken,
      fusesUnknown: false, ignoresMerges: false)
    var pipeline = EncodingPipeline(model: .bytePair(model))
    if let form { pipeline.normalizers.append(.form(form)) }
    pipeline.preTokenizers = try kind.steps(location: folder.path)
    if try folder.config.flag("add_prefix_space") == true { pipeline.preTokenizers.insert(.prefixSpace, at: 0) }
    pipeline.insert(added)
    let kinds = vocabulary.kinds
    let texts = TokenTexts(
      vocabulary, steps: [.byteLevel(ByteAlphabet())], verbatim: { [.control, .userDefined].contains(kinds[Int($0)]) })
    self.init(
      vocabulary: vocabulary, pipeline: pipeline, texts: texts, prefix: around.prefix, suffix: around.suffix,
      chatTemplates: folder.config.chatTemplates)
  }

  private convenience init(sentencePiece folder: LegacyFolder) throws(TokenizerError) {
    var model = try SentencePieceModel(file: try folder.file("tokenizer.model", "spiece.model"))
    let added = try folder.addedTokens { [table = model.vocabulary] in table.id(of: $0) }
    // What the configuration adds is found in the text as it came, by its own rules, and not once more.
    let symbols = AddedTokens(of: model.vocabulary, kinds: [.userDefined], except: added)
    let controls = AddedTokens(of: model.vocabulary, kinds: [.control, .unknown], except: added)
    model.vocabulary = try model.vocabulary.adding(added)
    model.scores += Array(repeating: 0, count: model.vocabulary.count - model.scores.count)
    let around = try folder.finish(&model.vocabulary)
    // The classes put a space before every stretch of text, unless they are told to leave their legacy behind.
    let isLegacy = try folder.config.flag("legacy") ?? true
    if let adds = try folder.config.flag("add_prefix_space") { model.addsSpacePrefix = adds }
    var (pipeline, texts) = try model.pipeline(prefix: isLegacy ? .always : .first)
    (pipeline.addedTokens, pipeline.normalizedAddedTokens) = (controls, symbols)
    pipeline.insert(added)
    self.init(
      vocabulary: model.vocabulary, pipeline: pipeline, texts: texts, prefix: around.prefix, suffix: around.suffix,
      chatTemplates: folder.config.chatTemplates)
  }

  private convenience init(wordPiece folder: LegacyFolder) throws(TokenizerError) {
    let file = try folder.file("vocab.txt")
    let pieces = try LegacyFolder.lines(file).enumerated().map { (piece: String($1), id: $0) }
    let added = try folder.addedTokens { content in
      pieces.first { $0.piece.utf8.elementsEqual(content.utf8) }.flatMap { Int32(exactly: $0.id) }
    }
    var vocabulary = try ModelJSON.vocabulary(pieces, added, hasByteFallback: false, location: file)
    let around = try folder.finish(&vocabulary)
    guard let unknown = vocabulary.unknownToken else { throw .missing(location: file, name: "\"[UNK]\"") }
    let mark = Array("##".utf8)
    var pipeline = EncodingPipeline(
      model: .wordPiece(WordPiece(vocabulary, mark: mark, unknownToken: unknown, longestWord: 100)))
    let lowercases = try folder.config.flag("do_lower_case") ?? true
    pipeline.normalizers = [
      .bert(
        Normalizer.Bert(
          cleans: true, separatesIdeographs: try folder.config.flag("tokenize_chinese_chars") ?? true,
          stripsAccents: try folder.config.flag("strip_accents") ?? lowercases, lowercases: lowercases))
    ]
    pipeline.preTokenizers = try PreTokenizer.bert(location: file)
    pipeline.insert(added)
    self.init(
      vocabulary: vocabulary, pipeline: pipeline,
      texts: TokenTexts(vocabulary, steps: [.wordPiece(mark: mark, cleansUp: true)], verbatim: { _ in false }),
      prefix: around.prefix, suffix: around.suffix, chatTemplates: folder.config.chatTemplates)
  }
}

extension Vocabulary {
  /// This vocabulary with tokens added behind it; ids between them are unused. A token that is there keeps its id and becomes what
  /// the entry says.
  func adding(_ entries: [AddedTokenEntry]) throws(TokenizerError) -> Vocabulary {
    let last = entries.map { Int($0.token.id) }.max() ?? -1
    let limit = count + (entries.count + 1) * 4096
    guard last < limit else {
      throw .malformed(
        location: entries.first?.location ?? "", expected: "ids of added tokens below \(limit)", found: "\(last)")
    }
    var byID: [Int: AddedTokenEntry] = [:]
    for entry in entries { byID[Int(entry.token.id)] = entry }
    var table = PieceTable(capacity: max(count, last + 1))
    var kinds = self.kinds
    var addedIDs = self.addedIDs
    for id in 0..<max(count, last + 1) {
      let own: [UInt8] = id < count ? Array(pieces[Int32(id)]) : []
      let entry = byID[id]
      if let entry, id < count, own != entry.token.content {
        throw .malformed(
          location: entry.location,
          expected: "an id of its own for \"\(String(decoding: entry.token.content, as: UTF8.self))\"",
          found: "\(id), which is \"\(String(decoding: own, as: UTF8.self))\"")
      }
      let content = id < count ? own : entry?.token.content ?? []
      _ = table.append(content.span, findable: id < count)
      if id >= count { kinds.append(.unused) }
      if let entry {
        if kinds[id] != .unknown { kinds[id] = entry.token.isSpecial ? .control : .userDefined }
        addedIDs[content] = Int32(id)
      }
    }
    var result = Vocabulary(pieces: table, kinds: kinds, addedIDs: addedIDs)
    (result.beginToken, result.endToken) = (beginToken, endToken)
    (result.unknownToken, result.paddingToken) = (unknownToken, paddingToken)
    return result
  }
}
