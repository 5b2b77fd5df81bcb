// SPDX-License-Identifier: Apache-2.0

/// The regular expressions of the named ways of cutting text, as the makers' tokenizer.json have them. Names and expressions are
/// those of llama.cpp (`src/llama-vocab.cpp`), which quotes the makers' where it uses a variant.
enum WordPatterns {
  /// GPT-2's words.
  static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

  private static let contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  private static let spaces = #"|\s*[\r\n]+|\s+(?!\S)|\s+"#
  private static let symbols = #"| ?[^\s\p{L}\p{N}]+[\r\n]*"#
  private static let letters = #"[^\r\n\p{L}\p{N}]?\p{L}+"#

  static let llama3 = contractions + "|" + letters + #"|\p{N}{1,3}"# + symbols + spaces
  static let qwen2 = contractions + "|" + letters + #"|\p{N}"# + symbols + spaces
  static let anyNumbers = contractions + "|" + letters + #"|\p{N}+"# + symbols + spaces
  static let qwen2WithoutContractions = letters + #"|\p{N}"# + symbols + spaces
  static let qwen35 =
    contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"# + spaces
  static let bailing =
    #"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#
  static let seedCoder = contractions + "|" + letters + #"|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+"# + spaces
  static let exaoneMoE =
    contractions + #"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?"#
    + #"|\s*[\r\n]|\s+(?!\S)|\s+"#
  static let jais2 =
    contractions + "|" + letters + #"|\p{N}{1,3}"# + symbols + #"|\s*[\r\n]+|"#
    + [512, 256, 128, 64, 32, 16, 8, 4].map { #"\s{\#($0)}(?!\S)|"# }.joined() + #"\s{1,2}(?!\S)|\s{1}"#

  // Words that are not torn where capitals begin: an optional mark, capitals, small letters.
  private static let capitals = #"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"#
  private static let smallLetters = #"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"#
  private static let mark = #"[^\r\n\p{L}\p{N}]?"#
  private static let symbolsAndSlashes = #"| ?[^\s\p{L}\p{N}]+[\r\n/]*"#

  static let tekken =
    mark + capitals + "*" + smallLetters + "+|" + mark + capitals + "+" + smallLetters + #"*|\p{N}"# + symbolsAndSlashes
    + spaces
  static let gpt4o = cased(number: #"\p{N}{1,3}"#) + symbolsAndSlashes + spaces
  static let youtu = cased(number: #"\p{N}"#) + symbolsAndSlashes + spaces

  private static func cased(number: String) -> String {
    mark + capitals + "*" + smallLetters + "+" + contractions + "?|" + mark + capitals + "+" + smallLetters + "*" + contractions
      + "?|" + number
  }

  /// Chinese characters stand apart from all other letters.
  static let kimi: String = {
    let other = #"(?:(?!\p{Han})"#
    let words =
      mark + other + capitals + ")*" + other + smallLetters + ")+" + contractions + "?|" + mark + other + capitals + ")+"
      + other
      + smallLetters + ")*" + contractions + "?"
    return #"\p{Han}+|"# + words + #"|\p{N}{1,3}"# + symbols + spaces
  }()

  // DeepSeek's: numbers, then Chinese and Japanese, then the rest.
  static let ideographsAndKana = #"[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+"#
  private static let asciiSymbolAndLetters = ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"##
  static let deepseek3 =
    asciiSymbolAndLetters + #"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
  static let spark =
    asciiSymbolAndLetters + #"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+|[\r\n]|\s+(?!\S)|\s+"#
  static let deepseekIdeographs = #"[\x{4e00}-\x{9fa5}\x{0800}-\x{4e00}\x{ac00}-\x{d7ff}]+"#
  static let deepseekPunctuation =
    #"\s?[!-/:-~\x{ff01}-\x{ff0f}\x{ff1a}-\x{ff5e}\x{2018}-\x{201f}\x{3000}-\x{3002}]+"#
  /// The letters with case that Unicode had when the model was made.
  static let deepseekCased =
    #"\s?[A-Za-z"#
    + #"\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}\x{295}-\x{2af}\x{370}-\x{373}"#
    + #"\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}"#
    + #"\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}"#
    + #"\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}"#
    + #"\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}"#
    + #"\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}"#
    + #"\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}"#
    + #"\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}"#
    + #"\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}"#
    + #"\x{a722}-\x{a76f}\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}"#
    + #"\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}"#
    + #"\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943}"#
    + "]+"

  static let youtuScripts =
    #"[\x{ac00}-\x{d7a3}\x{3131}-\x{318e}]+"#
    + #"|[\x{ff01}\x{2026}\x{201c}\x{201d}\x{2018}\x{2019}\x{2014}\x{ff1a}\x{ff1b}\x{ff0c}\x{3001}-\x{303f}\x{fe30}-\x{fe4f}]+"#
    + #"|[\x{3105}-\x{312f}]+|[\x{4e00}-\x{9fa5}\x{3040}-\x{309f}\x{30a0}-\x{30ff}]+"#
  static let asianScripts =
    #"[\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{f900}-\x{faff}\x{3040}-\x{309f}\x{30a0}-\x{30ff}\x{ff65}-\x{ff9f}\x{2f00}-\x{2fdf}"#
    + #"\x{0e40}-\x{0e7f}\x{0e80}-\x{0eff}\x{1780}-\x{17ff}\x{1000}-\x{109f}\x{aa60}-\x{aa7f}\x{a9e0}-\x{a9ff}\x{ac00}-\x{d7af}"#
    + #"\x{1100}-\x{11ff}]+"#

  /// Everything but white space and punctuation of many scripts.
  static let bloom = #" ?[^(\s|.,!?\x{2026}\x{3002}\x{ff0c}\x{3001}\x{0964}\x{06d4}\x{060c})]+"#
  /// Numbers in groups of three, counted from their end.
  static let groupedDigits = #"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))"#
  static let groupedDecimals = #"\d{1,3}(?=(?:\d{3})*\b)"#
  /// The places between such groups.
  static let placesBetweenThousands = #"(?=(\d{3})+(?!\d))"#
}
