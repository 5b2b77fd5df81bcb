// SPDX-License-Identifier: Apache-2.0

/// `decoder` of tokenizer.json.
extension TokenTexts {
  /// The texts of a vocabulary as the component describes them; nil: pieces with spaces between them.
  init(_ vocabulary: Vocabulary, decoder: JSONNode?) throws(TokenizerError) {
    guard let decoder else {
      self.init(vocabulary, steps: [], separator: [0x20], verbatim: { _ in false })
      return
    }
    var chain = DecoderChain()
    try chain.append(decoder)
    self.init(vocabulary, steps: chain.steps, strip: chain.strip, verbatim: { _ in false })
  }
}

/// The components of a decoder in order, sorted into what looks at one token and what looks at the whole text.
private struct DecoderChain {
  var steps: [TokenTexts.Step] = []
  var strip: TokenTexts.Strip?
  /// The tokens have been joined: what follows sees one text.
  private var isJoined = false

  mutating func append(_ node: JSONNode) throws(TokenizerError) {
    let type = try node.string("type")
    if isJoined, type != "Sequence", type != "Fuse", type != "Strip" || strip != nil {
      // `Fuse` and one `Strip` are all that published tokenizers put there.
      throw .unsupported(
        location: node.location, expected: "one \"Strip\" behind the component that joins the tokens", found: "\"\(type)\"")
    }
    switch type {
    case "Sequence":
      for element in try node.required("decoders").elements() { try append(element) }
    case "ByteLevel":
      steps.append(.byteLevel(ByteAlphabet()))
      isJoined = true
    case "Replace":
      let pattern = try node.required("pattern")
      if let expression = pattern["Regex"] {
        let compiled = try TextPattern(try expression.string(), location: expression.location)
        steps.append(.replaceMatches(compiled, with: try node.text("content")))
        return
      }
      steps.append(.replace(try pattern.text("String"), with: try node.text("content")))
    case "ByteFallback": steps.append(.byteFallback)
    case "Fuse": isJoined = true
    case "Strip": try appendStrip(node)
    case "Metaspace":
      let older = try node.bool("add_prefix_space", default: true) ? PreTokenizer.PrefixScheme.always : .never
      let scheme = try node["prepend_scheme"]?.choice(PreTokenizer.PrefixScheme.self) ?? older
      steps.append(.metaspace(replacement: try node.metaspaceReplacement(), dropsFirst: scheme != .never))
    case "WordPiece":
      steps.append(
        .wordPiece(
          mark: node["prefix"] == nil ? Array("##".utf8) : try node.text("prefix"),
          cleansUp: try node.bool("cleanup", default: true)))
    case "BPEDecoder":
      steps.append(.wordSuffix(node["suffix"] == nil ? Array("</w>".utf8) : try node.text("suffix")))
    case "CTC":
      steps.append(
        .alignment(
          padding: try node.text("pad_token"), delimiter: try node.text("word_delimiter_token"),
          cleansUp: try node.bool("cleanup", default: true)))
    default:
      let known = [
        "Sequence", "ByteLevel", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace", "WordPiece", "BPEDecoder", "CTC",
      ]
      throw try node.required("type").unsupported(type, known: known)
    }
  }

  private mutating func appendStrip(_ node: JSONNode) throws(TokenizerError) {
    let content = try node.text("content")
    guard !content.isEmpty else { throw try node.required("content").mismatch("a character") }
    let strip = TokenTexts.Strip(content: content, left: try node.count("start"), right: try node.count("stop"))
    if isJoined { self.strip = strip } else { steps.append(.strip(strip)) }
  }
}
