// SPDX-License-Identifier: Apache-2.0

/// What `post_processor` of tokenizer.json puts around a single text.
struct PostProcessor {
  var prefix: [Int32] = []
  var suffix: [Int32] = []

  /// Reads a component; ids have to be in the vocabulary.
  init(_ node: JSONNode?, _ vocabulary: Vocabulary) throws(TokenizerError) {
    if let node { try append(node, vocabulary) }
  }

  private mutating func append(_ node: JSONNode, _ vocabulary: Vocabulary) throws(TokenizerError) {
    let type = try node.string("type")
    switch type {
    case "Sequence":
      for element in try node.required("processors").elements() { try append(element, vocabulary) }
    case "ByteLevel": break  // It trims offsets, and Weft has none.
    case "TemplateProcessing": try appendTemplate(node, vocabulary)
    case "BertProcessing", "RobertaProcessing":
      prefix.insert(try Self.token(try node.required("cls"), vocabulary), at: 0)
      suffix.append(try Self.token(try node.required("sep"), vocabulary))
    default:
      let known = ["Sequence", "ByteLevel", "TemplateProcessing", "BertProcessing", "RobertaProcessing"]
      throw try node.required("type").unsupported(type, known: known)
    }
  }

  /// The id of `[content, id]`.
  private static func token(_ node: JSONNode, _ vocabulary: Vocabulary) throws(TokenizerError) -> Int32 {
    let parts = try node.elements()
    guard parts.count == 2 else { throw node.mismatch("a token and its id") }
    guard let id = Int32(exactly: try parts[1].int()), vocabulary.contains(id) else {
      throw parts[1].mismatch("an id below \(vocabulary.count)")
    }
    return id
  }

  private mutating func appendTemplate(_ node: JSONNode, _ vocabulary: Vocabulary) throws(TokenizerError) {
    let tokens = try node.required("special_tokens")
    var before: [Int32] = []
    var after: [Int32] = []
    var hasText = false
    for piece in try node.required("single").elements() {
      if let sequence = piece["Sequence"] {
        guard try sequence.string("id") == "A", !hasText else { throw sequence.mismatch("the text \"A\", once") }
        hasText = true
      } else {
        let name = try piece.required("SpecialToken").string("id")
        for id in try tokens.required(name).required("ids").elements() {
          guard let number = Int32(exactly: try id.int()), vocabulary.contains(number) else {
            throw id.mismatch("an id below \(vocabulary.count)")
          }
          if hasText { after.append(number) } else { before.append(number) }
        }
      }
    }
    guard hasText else { throw try node.required("single").mismatch("a template with the text \"A\"") }
    // A later template is put around what an earlier one made.
    prefix = before + prefix
    suffix += after
  }
}
