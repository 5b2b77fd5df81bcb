// SPDX-License-Identifier: Apache-2.0

/// `normalizer` of tokenizer.json.
extension Normalizer {
  /// Appends the steps of one component.
  static func append(_ node: JSONNode, to steps: inout [Normalizer]) throws(TokenizerError) {
    let type = try node.string("type")
    switch type {
    case "Sequence":
      for element in try node.required("normalizers").elements() { try append(element, to: &steps) }
    case "Prepend": steps.append(.prepend(try node.text("prepend")))
    case "Replace": steps.append(try replacement(node))
    case "NFC", "NFD", "NFKC", "NFKD": steps.append(.form(try node.required("type").choice(UnicodeForm.self)))
    case "Lowercase": steps.append(.lowercase)
    case "Strip":
      steps.append(.strip(left: try node.required("strip_left").bool(), right: try node.required("strip_right").bool()))
    case "BertNormalizer":
      let lowercases = try node.bool("lowercase", default: true)
      steps.append(
        .bert(
          Bert(
            cleans: try node.bool("clean_text", default: true),
            separatesIdeographs: try node.bool("handle_chinese_chars", default: true),
            stripsAccents: try node.bool("strip_accents", default: lowercases), lowercases: lowercases)))
    case "StripAccents": steps.append(.stripAccents)
    case "Nmt": steps.append(.nmt)
    case "ByteLevel": steps.append(.byteLevel(ByteAlphabet()))
    case "Precompiled":
      let place = try node.required("precompiled_charsmap")
      guard let bytes = Base64.bytes(of: try place.string()) else { throw place.mismatch("base64") }
      steps.append(.characterMap(try CharacterMap(bytes, matching: .cluster, location: place.location)))
    default:
      let known = [
        "Sequence", "Prepend", "Replace", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip", "BertNormalizer", "StripAccents",
        "Nmt", "Precompiled", "ByteLevel",
      ]
      throw try node.required("type").unsupported(type, known: known)
    }
  }

  private static func replacement(_ node: JSONNode) throws(TokenizerError) -> Normalizer {
    let content = try node.text("content")
    let pattern = try node.required("pattern")
    if let expression = pattern["Regex"] {
      return .replaceMatches(try TextPattern(try expression.string(), location: expression.location), with: content)
    }
    return .replace(try pattern.text("String"), with: content)
  }
}
