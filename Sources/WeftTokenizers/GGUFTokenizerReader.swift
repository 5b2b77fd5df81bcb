// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// Reads `tokenizer.ggml.*` keys and checks each against the others.
struct GGUFTokenizerReader {
  let metadata: [String: GGUFValue]
  let location: String

  func key(_ name: String) -> String { "tokenizer.ggml.\(name)" }
  /// The place of a key, for errors.
  func place(_ name: String) -> String { "\(location): \(key(name))" }

  func string(_ name: String) throws(TokenizerError) -> String? {
    guard let value = metadata[key(name)] else { return nil }
    guard let string = value.string else { throw mismatch(name, "a string", value) }
    return string
  }

  /// `tokenizer.chat_template`, and `tokenizer.chat_template.NAME` for every other name.
  func chatTemplates() throws(TokenizerError) -> [String: String] {
    let key = "tokenizer.chat_template"
    var templates: [String: String] = [:]
    for (name, value) in metadata where name == key || name.hasPrefix(key + ".") {
      guard let template = value.string else {
        throw .malformed(location: "\(location): \(name)", expected: "a string", found: value.summary)
      }
      templates[name == key ? "default" : String(name.dropFirst(key.count + 1))] = template
    }
    return templates
  }

  /// Bytes, as an array of 8-bit integers; none when the key is absent.
  func bytes(_ name: String) throws(TokenizerError) -> [UInt8] {
    guard let value = metadata[key(name)] else { return [] }
    guard let integers = value.integers else { throw mismatch(name, "an array of bytes", value) }
    return integers.map { UInt8(truncatingIfNeeded: $0) }
  }

  func requiredString(_ name: String) throws(TokenizerError) -> String {
    guard let string = try string(name) else { throw .missing(location: location, name: key(name)) }
    return string
  }

  func bool(_ name: String) throws(TokenizerError) -> Bool? {
    guard let value = metadata[key(name)] else { return nil }
    guard let bool = value.bool else { throw mismatch(name, "a bool", value) }
    return bool
  }

  /// All pieces with their kinds, and the special ids; a default id counts when the key is absent and the id exists.
  func vocabulary(defaultBegin: Int32?, defaultEnd: Int32?, defaultUnknown: Int32?) throws(TokenizerError) -> Vocabulary {
    guard let value = metadata[key("tokens")] else { throw .missing(location: location, name: key("tokens")) }
    guard let tokens = value.strings else { throw mismatch("tokens", "an array of strings", value) }
    guard !tokens.isEmpty, tokens.count < Int(Int32.max) else {
      throw .malformed(location: place("tokens"), expected: "between 1 and 2^31 - 2 tokens", found: "\(tokens.count)")
    }
    let kinds = try self.kinds(count: tokens.count)
    var pieces = PieceTable(capacity: tokens.count)
    for (id, token) in tokens.enumerated() {
      if let other = pieces.append(Array(token.utf8).span, findable: true) {
        throw .malformed(
          location: place("tokens"), expected: "every token once", found: "\"\(token)\" as \(other) and as \(id)")
      }
    }
    var vocabulary = Vocabulary(pieces: pieces, kinds: kinds)
    vocabulary.beginToken = try id("bos_token_id", below: tokens.count) ?? existing(defaultBegin, tokens.count)
    vocabulary.endToken = try id("eos_token_id", below: tokens.count) ?? existing(defaultEnd, tokens.count)
    vocabulary.unknownToken = try id("unknown_token_id", below: tokens.count) ?? existing(defaultUnknown, tokens.count)
    vocabulary.paddingToken = try id("padding_token_id", below: tokens.count)
    vocabulary.collectEndTokens(others: [
      try id("eot_token_id", below: tokens.count), try id("eom_token_id", below: tokens.count),
    ])
    return vocabulary
  }

  /// The score of every piece.
  func scores(of vocabulary: Vocabulary) throws(TokenizerError) -> [Float] {
    guard let value = metadata[key("scores")] else { throw .missing(location: location, name: key("scores")) }
    guard let scores = value.floats else { throw mismatch("scores", "an array of floats", value) }
    guard scores.count == vocabulary.count else {
      throw .malformed(
        location: place("scores"), expected: "\(vocabulary.count) scores, one per token", found: "\(scores.count)")
    }
    if let id = scores.firstIndex(where: \.isNaN) {
      throw .malformed(location: place("scores"), expected: "a number for token \(id)", found: "NaN")
    }
    return scores
  }

  /// Merges as "left right" of two pieces; the first is the earliest.
  func merges(of vocabulary: Vocabulary) throws(TokenizerError) -> MergeTable {
    guard let value = metadata[key("merges")] else { throw .missing(location: location, name: key("merges")) }
    guard let merges = value.strings else { throw mismatch("merges", "an array of strings", value) }
    var builder = MergeTable.Builder(pieces: vocabulary.pieces, count: merges.count, location: place("merges"))
    for merge in merges { try builder.append(line: merge) }
    return builder.table
  }

  private func kinds(count: Int) throws(TokenizerError) -> [Vocabulary.Kind] {
    guard let value = metadata[key("token_type")] else { return [Vocabulary.Kind](repeating: .normal, count: count) }
    guard let types = value.integers else { throw mismatch("token_type", "an array of integers", value) }
    guard types.count == count else {
      throw .malformed(location: place("token_type"), expected: "\(count) types, one per token", found: "\(types.count)")
    }
    var kinds: [Vocabulary.Kind] = []
    kinds.reserveCapacity(count)
    for (id, type) in types.enumerated() {
      guard let raw = UInt8(exactly: type), let kind = Vocabulary.Kind(rawValue: raw) else {
        throw .malformed(location: place("token_type"), expected: "a type from 1 to 6 for token \(id)", found: "\(type)")
      }
      kinds.append(kind)
    }
    return kinds
  }

  /// A special id. All ones (-1 as written by some converters) means that there is none.
  func id(_ name: String, below count: Int) throws(TokenizerError) -> Int32? {
    guard let value = metadata[key(name)] else { return nil }
    guard let number = value.int else { throw mismatch(name, "an integer", value) }
    if number == Int(UInt32.max) || number == -1 { return nil }
    guard number >= 0, number < count else {
      throw .malformed(location: place(name), expected: "an id below \(count)", found: "\(number)")
    }
    return Int32(number)
  }

  private func existing(_ id: Int32?, _ count: Int) -> Int32? { id.flatMap { Int($0) < count ? $0 : nil } }

  private func mismatch(_ name: String, _ expected: String, _ value: GGUFValue) -> TokenizerError {
    .malformed(location: place(name), expected: expected, found: value.summary)
  }
}
