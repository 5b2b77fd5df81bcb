// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// The files of a tokenizer that was published without tokenizer.json.
struct LegacyFolder {
  let path: String
  let config: TokenizerConfig
  let kind: LegacyKind

  init(_ path: String, _ config: TokenizerConfig) throws(TokenizerError) {
    self.path = path
    self.config = config
    kind = try LegacyKind.named(config, folder: path)
  }

  /// The first of these files that is there.
  func file(_ names: String...) throws(TokenizerError) -> String {
    for name in names where TokenizerConfig.exists("\(path)/\(name)") { return "\(path)/\(name)" }
    throw .missing(location: path, name: (["tokenizer.json"] + names).joined(separator: " or "))
  }

  /// Tokens that the configuration adds to the model's own, and the named ones, as entries of tokenizer.json would have them.
  /// `id`: of a content that the model has.
  func addedTokens(id: (String) -> Int32?) throws(TokenizerError) -> [AddedTokenEntry] {
    var entries = try config.addedTokens(folder: path)
    let known = entries
    func entry(_ content: String) -> Int32? {
      known.first { $0.token.content.elementsEqual(content.utf8) }?.token.id ?? id(content)
    }
    for content in try config.namedTokens() + [kind.begin, kind.end, kind.unknown].compactMap({ $0 }) {
      guard !entries.contains(where: { $0.token.content.elementsEqual(content.utf8) }), let id = entry(content) else {
        continue
      }
      entries.append(
        AddedTokenEntry(AddedToken(id: id, content: Array(content.utf8), isSpecial: true), isNormalized: false, location: path))
    }
    return entries
  }

  /// Sets the ids with a task, and what goes around a text.
  func finish(_ vocabulary: inout Vocabulary) throws(TokenizerError) -> (prefix: [Int32], suffix: [Int32]) {
    let table = vocabulary
    func id(_ name: String, _ fallback: String?) throws(TokenizerError) -> Int32? {
      if let (content, location) = try config.token(name) {
        guard let id = table.id(of: content) else {
          throw .malformed(location: location, expected: "a token of the vocabulary", found: "\"\(content)\"")
        }
        return id
      }
      return fallback.flatMap { table.id(of: $0) }
    }
    vocabulary.beginToken = try id("bos_token", kind.begin) ?? vocabulary.beginToken
    vocabulary.endToken = try id("eos_token", kind.end) ?? vocabulary.endToken
    vocabulary.unknownToken = vocabulary.unknownToken ?? kind.unknown.flatMap { table.id(of: $0) }
    if let (content, _) = try config.token("pad_token") { vocabulary.paddingToken = table.id(of: content) }
    vocabulary.collectEndTokens()
    let addsBegin = config.addsBeginToken ?? kind.addsBegin
    let addsEnd = config.addsEndToken ?? kind.addsEnd
    guard !addsBegin || vocabulary.beginToken != nil else { throw .missing(location: config.location, name: "\"bos_token\"") }
    guard !addsEnd || vocabulary.endToken != nil else { throw .missing(location: config.location, name: "\"eos_token\"") }
    return (
      addsBegin ? [vocabulary.beginToken].compactMap { $0 } : [], addsEnd ? [vocabulary.endToken].compactMap { $0 } : []
    )
  }

  /// The lines of a text file, without their ends.
  static func lines(_ file: String) throws(TokenizerError) -> [Substring] {
    let storage: Storage
    do { storage = try Storage(mapping: file) } catch { throw .format(.storage(error)) }
    defer { withExtendedLifetime(storage) {} }
    guard let text = String(validating: UnsafeRawBufferPointer(storage.bytes), as: UTF8.self) else {
      throw .malformed(location: file, expected: "UTF-8", found: "other bytes")
    }
    var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map { Substring($0) }
    if lines.last?.isEmpty == true { lines.removeLast() }
    return lines.map { $0.unicodeScalars.last == "\r" ? Substring($0.unicodeScalars.dropLast()) : $0 }
  }
}
