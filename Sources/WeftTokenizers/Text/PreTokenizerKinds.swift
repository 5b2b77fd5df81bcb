// SPDX-License-Identifier: Apache-2.0

/// A named way of cutting text, as `tokenizer.ggml.pre` of a GGUF file names it.
struct PreTokenizerKind: Sendable {
  /// All names that GGUF files use for it.
  let names: [String]
  /// Expressions whose matches are words of their own, in order: each cuts what the one before it left.
  let patterns: [String]
  /// A word that is a piece is not built from merges.
  var ignoresMerges = false
  /// Whether texts begin with the begin token when the file does not say.
  var addsBeginToken = false

  /// GPT-2's words.
  static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let punctuationAndSpace = #" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// One row per way. Names whose rows share a pattern list belong to different models with the same expressions.
  static let all: [PreTokenizerKind] = [
    PreTokenizerKind(names: ["gpt-2", "phi-2", "mpt", "olmo", "jais"], patterns: [gpt2]),
    PreTokenizerKind(names: ["starcoder", "refact", "command-r", "smollm", "codeshell"], patterns: [#"\p{N}"#, gpt2]),
    PreTokenizerKind(
      names: ["llama-bpe", "llama-v3", "llama3"],
      patterns: [contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"# + punctuationAndSpace],
      ignoresMerges: true, addsBeginToken: true),
    PreTokenizerKind(
      names: ["dbrx", "smaug-bpe"],
      patterns: [contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"# + punctuationAndSpace]),
    PreTokenizerKind(
      names: ["qwen2", "stablelm2"],
      patterns: [contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"# + punctuationAndSpace]),
    PreTokenizerKind(names: ["falcon"], patterns: [#"[\p{P}$+<=>^~|`]+"#, gpt2, "[0-9][0-9][0-9]"]),
    PreTokenizerKind(names: ["default"], patterns: [#"[\p{P}$+<=>^~|]+"#, gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"]),
  ]

  /// The row of a name; an unknown name is an error that lists the known ones.
  static func named(_ name: String, location: String) throws(TokenizerError) -> PreTokenizerKind {
    guard let kind = all.first(where: { $0.names.contains(name) }) else {
      let known = all.flatMap(\.names).joined(separator: ", ")
      throw .unsupported(location: location, expected: "one of \(known)", found: "pre-tokenizer \"\(name)\"")
    }
    return kind
  }

  /// The steps that cut text and spell its bytes.
  func steps(location: String) throws(TokenizerError) -> [PreTokenizer] {
    var steps: [PreTokenizer] = []
    for pattern in patterns {
      steps.append(.split(try TextPattern(pattern, location: location), .isolated, isInverted: false))
    }
    return steps + [.byteLevel(ByteAlphabet())]
  }
}
