// SPDX-License-Identifier: Apache-2.0

/// The tokenizer in a folder of transformers: `tokenizer.json` and what lies beside it
/// (https://huggingface.co/docs/tokenizers, "Components").
extension Tokenizer {
  /// Reads the folder at `path`. Kinds of components that Weft does not know are refused by name. A folder without tokenizer.json
  /// is read by its class (`LegacyKind`).
  ///
  /// `truncation` and `padding` of the file are settings for training and have no effect, as in transformers. Where
  /// `tokenizer_config.json` says whether to add begin and end tokens, it goes before the template in tokenizer.json.
  package convenience init(folder path: String) throws(TokenizerError) {
    let file = "\(path)/tokenizer.json"
    let config = try TokenizerConfig(folder: path)
    guard TokenizerConfig.exists(file) else {
      try self.init(legacyFolder: path, config)
      return
    }
    try self.init(root: try TokenizerConfig.object(file), config: config)
  }

  private convenience init(root: JSONNode, config: TokenizerConfig) throws(TokenizerError) {
    let parsed = try ModelJSON(root)
    var pipeline = EncodingPipeline(model: parsed.model)
    if let node = root["normalizer"] { try Normalizer.append(node, to: &pipeline.normalizers) }
    if let node = root["pre_tokenizer"] { try PreTokenizer.append(node, to: &pipeline.preTokenizers) }
    pipeline.insert(parsed.addedTokens)

    var vocabulary = parsed.vocabulary
    var around = try PostProcessor(root["post_processor"], vocabulary)
    vocabulary.beginToken = try Self.id("bos_token", config, vocabulary, isOptional: false) ?? around.prefix.first
    vocabulary.endToken = try Self.id("eos_token", config, vocabulary, isOptional: false) ?? around.suffix.last
    let namedUnknown = try Self.id("unk_token", config, vocabulary, isOptional: true)
    vocabulary.unknownToken = parsed.model.unknownToken ?? namedUnknown
    vocabulary.paddingToken = try Self.id("pad_token", config, vocabulary, isOptional: true)
    vocabulary.collectEndTokens()
    if let adds = config.addsBeginToken {
      if adds, vocabulary.beginToken == nil { throw .missing(location: config.location, name: "\"bos_token\"") }
      around.setPrefix(vocabulary.beginToken, isPresent: adds)
    }
    if let adds = config.addsEndToken {
      if adds, vocabulary.endToken == nil { throw .missing(location: config.location, name: "\"eos_token\"") }
      around.setSuffix(vocabulary.endToken, isPresent: adds)
    }
    self.init(
      vocabulary: vocabulary, pipeline: pipeline, texts: try TokenTexts(vocabulary, decoder: root["decoder"]),
      prefix: around.prefix, suffix: around.suffix, chatTemplates: config.chatTemplates)
  }

  /// The id of a token that the configuration names. Padding and unknown tokens that the vocabulary does not have are passed
  /// over: nothing here depends on them.
  private static func id(
    _ name: String, _ config: TokenizerConfig, _ vocabulary: Vocabulary, isOptional: Bool
  ) throws(TokenizerError) -> Int32? {
    guard let (content, location) = try config.token(name) else { return nil }
    if let id = vocabulary.id(of: content) { return id }
    if isOptional { return nil }
    throw .malformed(location: location, expected: "a token of the vocabulary", found: "\"\(content)\"")
  }
}

extension PostProcessor {
  /// Makes texts begin with the begin token, or not.
  mutating func setPrefix(_ token: Int32?, isPresent: Bool) {
    guard let token else { return }
    if !isPresent { prefix.removeAll { $0 == token } } else if !prefix.contains(token) { prefix.insert(token, at: 0) }
  }

  /// Makes texts end with the end token, or not.
  mutating func setSuffix(_ token: Int32?, isPresent: Bool) {
    guard let token else { return }
    if !isPresent { suffix.removeAll { $0 == token } } else if !suffix.contains(token) { suffix.append(token) }
  }
}
