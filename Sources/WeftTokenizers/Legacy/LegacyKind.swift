// SPDX-License-Identifier: Apache-2.0

/// A tokenizer class of transformers that is published as its own files, without tokenizer.json: what the files do not say.
struct LegacyKind: Sendable {
  enum Files: Sendable {
    /// Pieces and merges over bytes, words cut as the GGUF kind `pre`.
    case byteLevel(pre: String, form: Normalizer.UnicodeForm?)
    /// A SentencePiece model.
    case sentencePiece
    /// `vocab.txt`: a WordPiece per line.
    case wordPiece
  }

  /// Values of `tokenizer_class`, without "Fast" at the end.
  let classes: [String]
  /// Values of `model_type` in config.json, for folders that name no class.
  let modelTypes: [String]
  let files: Files
  /// The contents of the begin, end and unknown token where no file names them.
  var begin: String?
  var end: String?
  var unknown: String?
  var addsBegin = false
  var addsEnd = false

  static let all: [LegacyKind] = [
    LegacyKind(
      classes: ["GPT2Tokenizer", "CodeGenTokenizer"], modelTypes: ["gpt2", "codegen"],
      files: .byteLevel(pre: "gpt-2", form: nil), begin: "<|endoftext|>", end: "<|endoftext|>", unknown: "<|endoftext|>"),
    LegacyKind(
      classes: ["Qwen2Tokenizer"], modelTypes: ["qwen2", "qwen2_moe", "qwen3", "qwen3_moe"],
      files: .byteLevel(pre: "qwen2", form: .nfc), end: "<|endoftext|>"),
    LegacyKind(
      classes: ["RobertaTokenizer"], modelTypes: ["roberta"], files: .byteLevel(pre: "gpt-2", form: nil), begin: "<s>",
      end: "</s>", unknown: "<unk>", addsBegin: true, addsEnd: true),
    LegacyKind(
      classes: ["LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer"],
      modelTypes: ["llama", "mistral", "mixtral", "gemma", "gemma2", "gemma3_text", "phi3"], files: .sentencePiece,
      addsBegin: true),
    LegacyKind(classes: ["T5Tokenizer"], modelTypes: ["t5", "umt5", "mt5"], files: .sentencePiece, addsEnd: true),
    LegacyKind(
      classes: ["BertTokenizer"], modelTypes: ["bert"], files: .wordPiece, begin: "[CLS]", end: "[SEP]", unknown: "[UNK]",
      addsBegin: true, addsEnd: true),
  ]

  /// The row that a folder's configuration names.
  static func named(_ config: TokenizerConfig, folder: String) throws(TokenizerError) -> LegacyKind {
    let known = all.flatMap(\.classes).joined(separator: ", ")
    if let (name, location) = try config.tokenizerClass() {
      let slow = name.hasSuffix("Fast") ? String(name.dropLast(4)) : name
      guard let kind = all.first(where: { $0.classes.contains(slow) }) else {
        throw .unsupported(
          location: location, expected: "tokenizer.json, or one of \(known)",
          found: "a folder without tokenizer.json, of \(name)")
      }
      return kind
    }
    if let (type, location) = try config.modelType() {
      guard let kind = all.first(where: { $0.modelTypes.contains(type) }) else {
        throw .unsupported(
          location: location, expected: "tokenizer.json, or one of \(all.flatMap(\.modelTypes).joined(separator: ", "))",
          found: "a folder without tokenizer.json, of \(type)")
      }
      return kind
    }
    throw .missing(
      location: folder,
      name: "tokenizer.json, or \"tokenizer_class\" in tokenizer_config.json (one of \(known)), which says how text is cut,")
  }
}
