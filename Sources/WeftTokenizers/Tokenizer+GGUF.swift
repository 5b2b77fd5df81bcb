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
    case "llama": try self.init(sentencePiece: reader)
    case "gpt2": try self.init(byteLevel: reader)
    default:
      throw .unsupported(
        location: reader.place("model"), expected: "\"llama\" or \"gpt2\"", found: "tokenizer model \"\(model)\"")
    }
  }

  /// SentencePiece's BPE: spaces are "▁", the best-scoring neighbours merge, characters without a piece are bytes.
  private convenience init(sentencePiece reader: GGUFTokenizerReader) throws(TokenizerError) {
    let vocabulary = try reader.vocabulary(defaultBegin: 1, defaultEnd: 2, defaultUnknown: 0)
    let priorities = try reader.priorities(of: vocabulary)
    let byteTokens = BytePairEncoding.byteTokens(of: vocabulary.pieces)
    guard vocabulary.unknownToken != nil || !byteTokens.contains(-1) else {
      throw .missing(location: reader.place("tokens"), name: "an unknown token, or a token for every byte")
    }
    let addsSpace = try reader.bool("add_space_prefix") ?? true
    let model = BytePairEncoding(
      rule: .scored(priorities: priorities), pieces: vocabulary.pieces, byteTokens: byteTokens,
      unknownToken: vocabulary.unknownToken, fusesUnknown: true, ignoresMerges: false)
    var pipeline = EncodingPipeline(model: model)
    pipeline.addedTokens = AddedTokens(of: vocabulary)
    pipeline.normalizers = (addsSpace ? [.prepend(spaceMark)] : []) + [.replace([0x20], with: spaceMark)]
    let texts = TokenTexts(
      vocabulary, steps: [.replace(spaceMark, with: [0x20]), .byteFallback],
      strip: addsSpace ? TokenTexts.Strip(content: [0x20], left: 1, right: 0) : nil,
      verbatim: { ![.normal, .byte, .unused].contains(vocabulary.kinds[Int($0)]) })
    try self.init(reader, vocabulary, pipeline, texts, addsBeginToken: true)
  }

  /// Byte-level BPE: words by `tokenizer.ggml.pre`, bytes as characters, ranked merges.
  private convenience init(byteLevel reader: GGUFTokenizerReader) throws(TokenizerError) {
    let kind = try PreTokenizerKind.named(try reader.string("pre") ?? "default", location: reader.place("pre"))
    let vocabulary = try reader.vocabulary(defaultBegin: nil, defaultEnd: nil, defaultUnknown: nil)
    let model = BytePairEncoding(
      rule: .ranked(try reader.merges(of: vocabulary)), pieces: vocabulary.pieces, byteTokens: [],
      unknownToken: vocabulary.unknownToken, fusesUnknown: false, ignoresMerges: kind.ignoresMerges)
    var pipeline = EncodingPipeline(model: model)
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
    addsBeginToken: Bool
  ) throws(TokenizerError) {
    let addsBegin = try reader.bool("add_bos_token") ?? (addsBeginToken && vocabulary.beginToken != nil)
    let addsEnd = try reader.bool("add_eos_token") ?? false
    if addsBegin, vocabulary.beginToken == nil { throw .missing(location: reader.location, name: reader.key("bos_token_id")) }
    if addsEnd, vocabulary.endToken == nil { throw .missing(location: reader.location, name: reader.key("eos_token_id")) }
    self.init(
      vocabulary: vocabulary, pipeline: pipeline, texts: texts,
      prefix: addsBegin ? [vocabulary.beginToken].compactMap { $0 } : [],
      suffix: addsEnd ? [vocabulary.endToken].compactMap { $0 } : [],
      chatTemplate: try reader.chatTemplate())
  }
}

extension AddedTokens {
  /// Every control, unknown and user-defined token of a GGUF vocabulary.
  init(of vocabulary: Vocabulary) {
    self.init()
    for id in 0..<Int32(vocabulary.count) {
      let kind = vocabulary.kinds[Int(id)]
      guard kind == .control || kind == .unknown || kind == .userDefined else { continue }
      let content = Array(vocabulary.pieces[id])
      insert(AddedToken(id: id, content: content, isSpecial: kind != .userDefined), pattern: content)
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
