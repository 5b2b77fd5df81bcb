// SPDX-License-Identifier: Apache-2.0

/// A SentencePiece model (https://github.com/google/sentencepiece), from whichever file it came: pieces with scores, and how text
/// is prepared for them.
struct SentencePieceModel {
  enum Kind: Sendable {
    /// Any two neighbours that spell a piece merge, the best score first.
    case bytePair
    /// The spelling with the best sum of scores.
    case unigram
  }

  var kind: Kind
  var vocabulary: Vocabulary
  var scores: [Float]
  /// Characters without a piece are spelled in `<0xNN>`.
  var hasByteFallback = true
  /// A space before every text.
  var addsSpacePrefix = true
  /// No spaces at the ends of a text, and one between words.
  var collapsesSpaces = false
  /// User-defined symbols are cut out of the prepared text, as SentencePiece itself does; otherwise of the text as it came, and
  /// what follows one begins like a text of its own, as llama.cpp has it.
  var findsSymbolsInPreparedText = false
  /// What characters are written as before anything else; empty: nothing changes.
  var characterMap: [UInt8] = []
  /// The place of the model, for errors.
  var location: String

  /// The way from text to ids and the texts of ids. `prefix`: whether the space goes before every stretch of text between special
  /// tokens, or only before one that begins the input.
  func pipeline(
    prefix: PreTokenizer.PrefixScheme
  ) throws(TokenizerError) -> (pipeline: EncodingPipeline, texts: TokenTexts) {
    var pipeline = EncodingPipeline(model: try model())
    pipeline.addedTokens = AddedTokens(
      of: vocabulary, kinds: findsSymbolsInPreparedText ? [.control, .unknown] : AddedTokens.found)
    if findsSymbolsInPreparedText { pipeline.normalizedAddedTokens = AddedTokens(of: vocabulary, kinds: [.userDefined]) }
    if !characterMap.isEmpty {
      let map = try CharacterMap(characterMap, matching: .longest, location: location)
      pipeline.normalizers.append(.characterMap(map))
    }
    if collapsesSpaces { pipeline.normalizers.append(.collapseSpaces) }
    if addsSpacePrefix, prefix == .always { pipeline.normalizers.append(.prepend(spaceMark)) }
    pipeline.normalizers.append(.replace([0x20], with: spaceMark))
    // With the space before a text, when nothing else is left of it.
    if collapsesSpaces { pipeline.normalizers.append(.trimEnd(spaceMark)) }
    if addsSpacePrefix, prefix == .first {
      pipeline.preTokenizers.append(.metaspace(replacement: spaceMark, prefix: .first, splits: false))
    }
    let kinds = vocabulary.kinds
    let rewritten: [Vocabulary.Kind] =
      findsSymbolsInPreparedText ? [.normal, .byte, .unused, .userDefined] : [.normal, .byte, .unused]
    let texts = TokenTexts(
      vocabulary, steps: [.replace(spaceMark, with: [0x20]), .byteFallback],
      strip: addsSpacePrefix ? TokenTexts.Strip(content: [0x20], left: 1, right: 0) : nil,
      verbatim: { !rewritten.contains(kinds[Int($0)]) })
    return (pipeline, texts)
  }

  private func model() throws(TokenizerError) -> WordModel {
    let byteTokens = hasByteFallback ? BytePairEncoding.byteTokens(of: vocabulary.pieces) : []
    guard vocabulary.unknownToken != nil || (!byteTokens.isEmpty && !byteTokens.contains(-1)) else {
      throw .missing(location: location, name: "an unknown token, or a token for every byte")
    }
    switch kind {
    case .bytePair:
      return .bytePair(
        BytePairEncoding(
          rule: .scored(priorities: priorities), pieces: vocabulary.pieces, byteTokens: byteTokens,
          unknownToken: vocabulary.unknownToken, fusesUnknown: true, ignoresMerges: false))
    case .unigram:
      let found = vocabulary.kinds.indices.filter { [.normal, .userDefined].contains(vocabulary.kinds[$0]) }
      let worst = vocabulary.kinds.indices.filter { vocabulary.kinds[$0] == .normal }.map { scores[$0] }.min() ?? 0
      return .unigram(
        Unigram(
          trie: PieceTrie(found.map { (Array(vocabulary.pieces[Int32($0)]), Int32($0)) }), pieces: vocabulary.pieces,
          scores: scores.map(Double.init), unknownToken: vocabulary.unknownToken,
          unknownScore: Double(worst) - Unigram.unknownPenalty, byteTokens: byteTokens))
    }
  }

  /// Scores as priorities of merging: less is earlier. Pieces that no merge may produce (control, unknown, byte) get the last.
  private var priorities: [UInt32] {
    zip(scores, vocabulary.kinds).map { score, kind in
      switch kind {
      case .control, .unknown, .byte: return .max
      case .normal, .userDefined, .unused:
        // The bits of floats sort like integers once the sign is dealt with; adding zero makes -0 and 0 one.
        let bits = (score + 0).bitPattern
        let ascending = bits >> 31 == 1 ? ~bits : bits | 1 << 31
        return min(~ascending, .max - 1)
      }
    }
  }
}
