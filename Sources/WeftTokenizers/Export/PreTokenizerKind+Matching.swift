// SPDX-License-Identifier: Apache-2.0

extension PreTokenizerKind {
  /// The kind that cuts like these steps: GGUF names ways of cutting text, and does not hold the expressions themselves. An error
  /// when none does.
  static func matching(
    _ steps: [PreTokenizer], ignoresMerges: Bool, location: String
  ) throws(TokenizerError) -> PreTokenizerKind {
    let wanted = probes.map { words($0, steps) }
    for kind in all where kind.ignoresMerges == ignoresMerges {
      let candidate = try kind.steps(location: location)
      // The space that GGUF names apart.
      let prefix = steps.filter { if case .prefixSpace = $0 { true } else { false } }
      if probes.map({ words($0, prefix + candidate) }) == wanted { return kind }
    }
    throw .unsupported(
      location: "\(location): pre_tokenizer",
      expected: "a way of cutting text that GGUF names (\(all.map { $0.names[0] }.joined(separator: ", ")))",
      found: "another one")
  }

  private static func words(_ text: String, _ steps: [PreTokenizer]) -> [[UInt8]] {
    var list = WordList(Array(text.utf8), startsInput: true)
    for step in steps { step.apply(to: &list) }
    return list.words.map { Array(list.bytes[$0]) }
  }

  /// Texts on which the kinds differ: contractions, numbers, spaces and line ends, capitals, punctuation, scripts.
  static let probes = [
    "I'm sure THEY'LL don't we've I'D it's 'Tis O'Neill's",
    "1 22 333 4444 55555 666666 7777777 3.14 1,000,000 1.234.567,89 x86 4th 2nd ¼ ½ Ⅷ ²³ ٤٥٦٧٨ ०१२३४५ ௧௨",
    "a  b   c    d\te\t\tf \t g\n\nh\n \n  i\r\nj\r\n\r\n   k \n",
    "   leading", "trailing   ", "\n", "\n\n\n", " ", "      ", "\t", " \n", "\r\n  ",
    "camelCase HTTPServer iPhone XMLHttpRequest ÜBER straße ΑΒΓαβγ Жизнь ǅ ʰ ªº",
    "foo(bar)[baz]{qux} a+b=c <=> x^2 ~~ `code` $10 €20 £30 #tag @user 50% \\n /path/to//file\n/x ...!!??--- --- === \"q\" «r» „s“",
    "a.b,c;d:e!f?g-h_i/j\\k|l&m*n 'single' \"double\" (paren) it’s ‘curly’ – — … ‹›",
    "漢字かな交じり文です。カタカナ、ﾊﾝｶｸ 한국어 문장입니다 中文字符，标点。「引号」 ไทยภาษา ລາວ ខ្មែរ မြန်မာ עברית العربية، نص हिन्दी। বাংলা",
    "e\u{301}a\u{308} n\u{303}o ñ o\u{302}\u{323} 👍🏽 👨‍👩‍👧 🇩🇪 ☃ ™ © ° № ✓ \u{200B} \u{A0}nbsp\u{A0} \u{3000}x \u{2028}y",
    "def f(x):\n    return x**2  # note\n\n\tif a >= 10 and b != -3:\n        print(f\"{a:>8}\")\n",
    "http://www.example.com/a_b?c=1&d=2#e user.name+tag@mail.co.uk 2024-01-31T12:34:56Z +49 (0)30 1234567",
    "word1word 1word wordII a1b2c3 !a !1 .5 -7 +a =b \u{1}\u{7F} ABCdefGHI 12ab34 ١a ２３ ａｂＣ",
  ]
}
