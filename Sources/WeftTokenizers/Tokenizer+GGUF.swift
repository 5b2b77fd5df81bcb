// SPDX-License-Identifier: Apache-2.0

package import WeftFormats

/// The tokenizer inside a GGUF file: keys `tokenizer.ggml.*`
/// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "Tokenizer").
extension Tokenizer {
  /// Builds the tokenizer that the metadata describes; `location` names the file in errors.
  ///
  /// `tokenizer.ggml.model` is `llama` (SentencePiece BPE: scores, byte fallback) or `gpt2` (byte-level BPE: merges, and
  /// `tokenizer.ggml.pre`). Other kinds are refused by name.
  package convenience init(metadata: [String: GGUFValue], location: String) throws(TokenizerError) {
    let reader = GGUFTokenizerReader(metadata: metadata, location: location)
    let model = try reader.requiredString("model")
    switch model {
    case "llama": try self.init(sentencePiece: reader, .bytePair)
    case "t5": try self.init(sentencePiece: reader, .unigram)
    case "bert": try self.init(wordPiece: reader)
    case "gpt2": try self.init(byteLevel: reader)
    default:
      throw .unsupported(
        location: reader.place("model"), expected: "one of llama, gpt2, t5, bert", found: "tokenizer model \"\(model)\"")
    }
  }

  /// SentencePiece's BPE or Unigram.
  private convenience init(sentencePiece reader: GGUFTokenizerReader, _ kind: SentencePieceModel.Kind) throws(TokenizerError) {
    let isUnigram = kind == .unigram
    let vocabulary = try reader.vocabulary(
      defaultBegin: isUnigram ? nil : 1, defaultEnd: isUnigram ? 1 : 2, defaultUnknown: isUnigram ? 2 : 0)
    let model = SentencePieceModel(
      kind: kind, vocabulary: vocabulary, scores: try reader.scores(of: vocabulary),
      addsSpacePrefix: try reader.bool("add_space_prefix") ?? true,
      collapsesSpaces: isUnigram ? try reader.bool("remove_extra_whitespaces") ?? false : false,
      characterMap: isUnigram ? try reader.bytes("precompiled_charsmap") : [], location: reader.place("tokens"))
    var (pipeline, texts) = try model.pipeline(prefix: .always)
    if reader.metadata["general.architecture"]?.string == "phi3" {
      // Phi-3's tokens take the white space behind them along, which GGUF has no field for; llama.cpp knows it by name, too.
      let kept = ["<unk>", "<s>", "<|endoftext|>"].map { vocabulary.id(of: $0) }
      pipeline.addedTokens = AddedTokens(of: vocabulary, stripsRight: { !kept.contains($0) })
    }
    try self.init(reader, vocabulary, pipeline, texts, addsBeginToken: !isUnigram, addsEndToken: isUnigram)
  }

  /// WordPiece, with "▁" before pieces that begin a word and no mark on those that continue one.
  private convenience init(wordPiece reader: GGUFTokenizerReader) throws(TokenizerError) {
    var vocabulary = try reader.vocabulary(defaultBegin: 101, defaultEnd: 102, defaultUnknown: 100)
    // The keys are written with this spelling.
    vocabulary.endToken = try reader.id("seperator_token_id", below: vocabulary.count) ?? vocabulary.endToken
    guard let unknown = vocabulary.unknownToken else {
      throw .missing(location: reader.location, name: reader.key("unknown_token_id"))
    }
    let pieces = (0..<Int32(vocabulary.count)).filter { vocabulary.kinds[Int($0)] == .normal }
      .map { (piece: Array(vocabulary.pieces[$0]), id: $0) }
    let beginnings = pieces.filter { $0.piece.starts(with: spaceMark) }
    let model = WordPiece(
      beginnings: PieceTrie(beginnings.map { (Array($0.piece[spaceMark.count...]), $0.id) }),
      continuations: PieceTrie(pieces.filter { !$0.piece.starts(with: spaceMark) }), unknownToken: unknown, longestWord: .max)
    var pipeline = EncodingPipeline(model: .wordPiece(model))
    pipeline.addedTokens = AddedTokens(of: vocabulary)
    let lowercases = try reader.bool("normalizer.lowercase") ?? true
    pipeline.normalizers = [
      .bert(
        Normalizer.Bert(
          cleans: true, separatesIdeographs: true,
          stripsAccents: try reader.bool("normalizer.strip_accents") ?? lowercases, lowercases: lowercases))
    ]
    pipeline.preTokenizers = try PreTokenizer.bert(location: reader.location)
    let kinds = vocabulary.kinds
    let texts = TokenTexts(
      vocabulary, steps: [.replace(spaceMark, with: [0x20])], strip: TokenTexts.Strip(content: [0x20], left: 1, right: 0),
      verbatim: { kinds[Int($0)] != .normal })
    try self.init(reader, vocabulary, pipeline, texts, addsBeginToken: true, addsEndToken: true)
  }

  /// Byte-level BPE: words by `tokenizer.ggml.pre`, bytes as characters, ranked merges.
  private convenience init(byteLevel reader: GGUFTokenizerReader) throws(TokenizerError) {
    let kind = try PreTokenizerKind.named(try reader.string("pre") ?? "default", location: reader.place("pre"))
    let vocabulary = try reader.vocabulary(defaultBegin: nil, defaultEnd: nil, defaultUnknown: nil)
    let model = BytePairEncoding(
      rule: .ranked(try reader.merges(of: vocabulary)), pieces: vocabulary.pieces, byteTokens: [],
      unknownToken: vocabulary.unknownToken, fusesUnknown: false, ignoresMerges: kind.ignoresMerges)
    var pipeline = EncodingPipeline(model: .bytePair(model))
    pipeline.addedTokens = AddedTokens(of: vocabulary)
    pipeline.preTokenizers = try kind.steps(location: reader.place("pre"))
    if try reader.bool("add_space_prefix") == true { pipeline.preTokenizers.insert(.prefixSpace, at: 0) }
    let texts = TokenTexts(
      vocabulary, steps: [.byteLevel(ByteAlphabet())],
      verbatim: { ![.normal, .byte, .unused].contains(vocabulary.kinds[Int($0)]) })
    try self.init(reader, vocabulary, pipeline, texts, addsBeginToken: kind.addsBeginToken)
  }

  /// What both kinds share: begin and end tokens around a text, and the chat template.
  private convenience init(
    _ reader: GGUFTokenizerReader, _ vocabulary: Vocabulary, _ pipeline: EncodingPipeline, _ texts: TokenTexts,
    addsBeginToken: Bool, addsEndToken: Bool = false
  ) throws(TokenizerError) {
    let addsBegin = try reader.bool("add_bos_token") ?? (addsBeginToken && vocabulary.beginToken != nil)
    let addsEnd = try reader.bool("add_eos_token") ?? (addsEndToken && vocabulary.endToken != nil)
    if addsBegin, vocabulary.beginToken == nil { throw .missing(location: reader.location, name: reader.key("bos_token_id")) }
    if addsEnd, vocabulary.endToken == nil { throw .missing(location: reader.location, name: reader.key("eos_token_id")) }
    self.init(
      vocabulary: vocabulary, pipeline: pipeline, texts: texts,
      prefix: addsBegin ? [vocabulary.beginToken].compactMap { $0 } : [],
      suffix: addsEnd ? [vocabulary.endToken].compactMap { $0 } : [],
      chatTemplates: try reader.chatTemplates())
  }
}

extension AddedTokens {
  /// The kinds of tokens that are found in a text before any merge.
  static let found: [Vocabulary.Kind] = [.control, .unknown, .userDefined]

  /// Every token of these kinds of a vocabulary.
  init(
    of vocabulary: Vocabulary, kinds: [Vocabulary.Kind] = found, except others: [AddedTokenEntry] = [],
    stripsRight: (Int32) -> Bool = { _ in false }
  ) {
    self.init()
    let others = Set(others.map(\.token.id))
    for id in 0..<Int32(vocabulary.count) where !others.contains(id) {
      let kind = vocabulary.kinds[Int(id)]
      guard kinds.contains(kind) else { continue }
      let content = Array(vocabulary.pieces[id])
      insert(
        AddedToken(id: id, content: content, isSpecial: kind != .userDefined, stripsRight: stripsRight(id)), pattern: content)
    }
  }
}

extension BytePairEncoding {
  /// The ids of `<0x00>` ... `<0xFF>`, -1 where there is none; empty when there are none at all.
  static func byteTokens(of pieces: PieceTable) -> [Int32] {
    let digits = Array("0123456789ABCDEF".utf8)
    let ids = (0..<256).map { byte in
      pieces.id(of: [0x3C, 0x30, 0x78, digits[byte >> 4], digits[byte & 15], 0x3E].span) ?? -1
    }
    return ids.allSatisfy { $0 < 0 } ? [] : ids
  }
}
