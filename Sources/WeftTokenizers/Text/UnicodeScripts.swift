// SPDX-License-Identifier: Apache-2.0

/// Cutting text where the script changes: what the kind `UnicodeScripts` of tokenizer.json does.
enum UnicodeScripts {
  /// Japanese is one script with Chinese here; the mark that lengthens vowels belongs to it.
  private static let han = #"[\p{sc:Han}\p{sc:Hiragana}\p{sc:Katakana}\x{30fc}]"#

  /// Common characters are a script, except the space.
  private static let common = #"(?![ \x{30fc}])\p{sc:Common}"#

  /// Scripts of Unicode 14.
  private static let names = """
    Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi \
    Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Coptic Cuneiform Cypriot Cyrillic \
    Deseret Devanagari Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek \
    Gujarati Gunjala_Gondi Gurmukhi Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Imperial_Aramaic Inherited \
    Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Kayah_Li Kharoshthi Khmer Khojki Khudawadi Lao Latin \
    Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi \
    Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar \
    Nabataean Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic \
    Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Oriya Osage Osmanya Pahawh_Hmong \
    Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham \
    SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet \
    Takri Tamil Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Ugaritic Vai Wancho Warang_Citi Yi Zanabazar_Square
    """

  /// Whether this names a script, in the loose spelling of regular expressions.
  static func contains(_ name: some StringProtocol) -> Bool { spellings.contains(loose(name)) }

  private static let spellings = Set(
    (names.split(separator: " ") + ["Han", "Hiragana", "Katakana", "Common"]).map { loose($0) })

  private static func loose(_ name: some StringProtocol) -> String {
    name.lowercased().filter { $0 != "_" && $0 != " " && $0 != "-" }
  }

  /// A match is one piece: characters of one script. Spaces and characters of no script go with what is before them; at the
  /// beginning of a text nothing is, and `tokenizers` drops them there.
  static var pattern: String {
    ([han, common] + names.split(separator: " ").map { "\\p{sc:\($0)}" })
      .map { "(?:\($0)[ \\p{sc:Unknown}]*)+" }.joined(separator: "|")
  }
}
