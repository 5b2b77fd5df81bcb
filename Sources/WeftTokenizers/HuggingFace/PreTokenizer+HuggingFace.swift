// SPDX-License-Identifier: Apache-2.0

/// `pre_tokenizer` of tokenizer.json.
extension PreTokenizer {
  /// Appends the steps of one component.
  static func append(_ node: JSONNode, to steps: inout [PreTokenizer]) throws(TokenizerError) {
    let type = try node.string("type")
    switch type {
    case "Sequence":
      for element in try node.required("pretokenizers").elements() { try append(element, to: &steps) }
    case "ByteLevel":
      // The space comes before the words are cut: it belongs to the first of them.
      if try node.bool("add_prefix_space", default: true) { steps.append(.prefixSpace) }
      if try node.bool("use_regex", default: true) {
        steps.append(try cut(WordPatterns.gpt2, .isolated, node))
      }
      steps.append(.byteLevel(ByteAlphabet()))
    case "Split":
      let behavior = try node.required("behavior").choice(SplitBehavior.self)
      steps.append(.split(try pattern(node.required("pattern")), behavior, isInverted: try node.bool("invert", default: false)))
    case "Digits":
      let areSingle = try node.bool("individual_digits", default: false)
      steps.append(try cut(#"\p{N}"#, areSingle ? .isolated : .contiguous, node))
    case "Punctuation":
      let behavior = try node["behavior"]?.choice(SplitBehavior.self) ?? .isolated
      steps.append(try cut(punctuation, behavior, node))
    case "Whitespace":
      let word = #"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}]"#
      let other = #"[^\s\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}]"#
      steps.append(.split(try TextPattern("\(word)+|\(other)+", location: node.location), .removed, isInverted: true))
    case "WhitespaceSplit": steps.append(try cut(#"\s"#, .removed, node))
    case "Metaspace": steps.append(try metaspace(node))
    case "BertPreTokenizer":
      steps += try bert(location: node.location)
    case "CharDelimiterSplit":
      let delimiter = try node.string("delimiter")
      guard delimiter.unicodeScalars.count == 1 else { throw try node.required("delimiter").mismatch("one character") }
      steps.append(.split(try TextPattern(literal: delimiter, location: node.location), .removed, isInverted: false))
    case "FixedLength":
      let length = try node.count("length")
      guard length > 0 else { throw try node.required("length").mismatch("a length from 1") }
      steps.append(try cut("[\\s\\S]{1,\(length)}", .isolated, node))
    case "UnicodeScripts":
      let pattern = try TextPattern(UnicodeScripts.pattern, location: node.location)
      steps.append(.split(pattern, .removed, isInverted: true))
    default:
      let known = [
        "Sequence", "ByteLevel", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit", "Metaspace",
        "BertPreTokenizer", "CharDelimiterSplit", "FixedLength", "UnicodeScripts",
      ]
      throw try node.required("type").unsupported(type, known: known)
    }
  }

  /// ASCII punctuation and Unicode's.
  private static let punctuation = #"[\p{P}$+<=>^`|~]"#

  /// White space goes, punctuation stands alone.
  static func bert(location: String) throws(TokenizerError) -> [PreTokenizer] {
    [
      .split(try TextPattern(#"\s"#, location: location), .removed, isInverted: false),
      .split(try TextPattern(punctuation, location: location), .isolated, isInverted: false),
    ]
  }

  private static func cut(
    _ pattern: String, _ behavior: SplitBehavior, _ node: JSONNode
  ) throws(TokenizerError) -> PreTokenizer {
    .split(try TextPattern(pattern, location: node.location), behavior, isInverted: false)
  }

  private static func pattern(_ node: JSONNode) throws(TokenizerError) -> TextPattern {
    if let expression = node["Regex"] {
      return try TextPattern(try expression.string(), location: expression.location)
    }
    return try TextPattern(literal: try node.string("String"), location: node.location)
  }

  /// Files before `prepend_scheme` say `add_prefix_space`.
  private static func metaspace(_ node: JSONNode) throws(TokenizerError) -> PreTokenizer {
    let older: PrefixScheme = try node.bool("add_prefix_space", default: true) ? .always : .never
    return .metaspace(
      replacement: try node.metaspaceReplacement(),
      prefix: try node["prepend_scheme"]?.choice(PrefixScheme.self) ?? older,
      splits: try node.bool("split", default: true))
  }
}

extension JSONNode {
  /// `replacement` of a Metaspace component: one character.
  func metaspaceReplacement() throws(TokenizerError) -> [UInt8] {
    let replacement = try string("replacement")
    guard replacement.unicodeScalars.count == 1 else { throw try required("replacement").mismatch("one character") }
    return Array(replacement.utf8)
  }
}
