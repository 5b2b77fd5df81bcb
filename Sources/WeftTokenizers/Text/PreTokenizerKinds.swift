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

  /// One row per way. Names that share a row belong to different models with the same expressions.
  static let all: [PreTokenizerKind] = [
    PreTokenizerKind(
      names: [
        "gpt-2", "phi-2", "mpt", "olmo", "jais", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0",
        "mellum",
        "modern-bert", "exaone4", "trillion", "granite-docling",
      ], patterns: [WordPatterns.gpt2]),
    PreTokenizerKind(
      names: ["starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"],
      patterns: [#"\p{N}"#, WordPatterns.gpt2]),
    PreTokenizerKind(
      names: [
        "llama-bpe", "llama-v3", "llama3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano",
      ], patterns: [WordPatterns.llama3], ignoresMerges: true, addsBeginToken: true),
    PreTokenizerKind(names: ["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], patterns: [WordPatterns.llama3]),
    PreTokenizerKind(names: ["jais-2"], patterns: [WordPatterns.jais2]),
    PreTokenizerKind(
      names: [
        "qwen2", "stablelm2", "megrez", "deepseek-r1-qwen", "kormo", "f2llmv2", "hunyuan", "solar-open", "grok-2",
      ], patterns: [WordPatterns.qwen2]),
    PreTokenizerKind(names: ["qwen35"], patterns: [WordPatterns.qwen35]),
    PreTokenizerKind(names: ["ufakzeka"], patterns: [WordPatterns.qwen2WithoutContractions]),
    PreTokenizerKind(names: ["laguna"], patterns: [#"[^\n]+|[\n]+"#, WordPatterns.qwen2]),
    PreTokenizerKind(names: ["minicpm5"], patterns: [#"\p{N}{1,3}"#, WordPatterns.anyNumbers], ignoresMerges: true),
    PreTokenizerKind(names: ["seed-coder"], patterns: [WordPatterns.seedCoder]),
    PreTokenizerKind(names: ["bailingmoe", "bailingmoe2", "llada-moe"], patterns: [WordPatterns.bailing]),
    PreTokenizerKind(names: ["exaone-moe"], patterns: [WordPatterns.exaoneMoE]),
    PreTokenizerKind(names: ["falcon"], patterns: [#"[\p{P}$+<=>^~|`]+"#, WordPatterns.gpt2, "[0-9][0-9][0-9]"]),
    PreTokenizerKind(
      names: ["default"], patterns: [#"[\p{P}$+<=>^~|]+"#, WordPatterns.gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"]),
    PreTokenizerKind(
      names: ["deepseek-llm"],
      patterns: [
        #"[\r\n]"#, WordPatterns.deepseekCased, WordPatterns.deepseekPunctuation, #"\s+$"#, WordPatterns.deepseekIdeographs,
        #"\p{N}+"#,
      ]),
    PreTokenizerKind(
      names: ["deepseek-coder"],
      patterns: [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, WordPatterns.deepseekIdeographs, #"\p{N}"#]),
    PreTokenizerKind(
      names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
      patterns: [#"\p{N}{1,3}"#, WordPatterns.ideographsAndKana, WordPatterns.deepseek3]),
    PreTokenizerKind(
      names: ["spark2_5"], patterns: [#"\p{N}{1,3}"#, WordPatterns.ideographsAndKana, WordPatterns.spark, #"\p{N}"#]),
    PreTokenizerKind(
      names: ["afmoe"], patterns: [WordPatterns.groupedDigits, WordPatterns.asianScripts, WordPatterns.deepseek3]),
    PreTokenizerKind(names: ["youtu"], patterns: [WordPatterns.youtuScripts, WordPatterns.youtu], ignoresMerges: true),
    PreTokenizerKind(names: ["tekken"], patterns: [WordPatterns.tekken], ignoresMerges: true, addsBeginToken: true),
    PreTokenizerKind(
      names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], patterns: [WordPatterns.gpt4o]),
    PreTokenizerKind(names: ["granite-embed-multi-97m"], patterns: [WordPatterns.gpt4o], ignoresMerges: true),
    PreTokenizerKind(names: ["tiny_aya", "cohere2moe"], patterns: [WordPatterns.groupedDecimals, WordPatterns.gpt4o]),
    PreTokenizerKind(names: ["kimi-k2"], patterns: [WordPatterns.kimi]),
    PreTokenizerKind(names: ["superbpe"], patterns: [#"\p{N}+"#, WordPatterns.placesBetweenThousands]),
    PreTokenizerKind(names: ["poro-chat", "bloom", "gpt3-finnish"], patterns: [WordPatterns.bloom]),
    PreTokenizerKind(names: ["viking"], patterns: [WordPatterns.bloom, #"\p{N}"#]),
    PreTokenizerKind(
      names: ["chameleon"],
      patterns: [
        "<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", #"([\t\n]|    |  )"#, #"\p{N}"#,
        #"[\p{P}!-/:-@\[-`{-~]"#, WordPatterns.gpt2,
      ], addsBeginToken: true),
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
