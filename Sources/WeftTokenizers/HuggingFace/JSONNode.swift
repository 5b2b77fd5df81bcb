// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// A JSON value and the way to it, so that every wrong value is reported with its place.
struct JSONNode {
  let json: JSON
  private let file: String
  private let path: String

  /// The root of a document.
  init(_ json: JSON, file: String) {
    self.init(json, file: file, path: "")
  }

  private init(_ json: JSON, file: String, path: String) {
    self.json = json
    self.file = file
    self.path = path
  }

  /// File and path, such as `tokenizer.json: decoder.decoders[2]`.
  var location: String { path.isEmpty ? file : "\(file): \(path)" }

  /// The member of an object; nil when absent or null.
  subscript(key: String) -> JSONNode? {
    json[key].map { JSONNode($0, file: file, path: path.isEmpty ? key : "\(path).\(key)") }
  }

  func required(_ key: String) throws(TokenizerError) -> JSONNode {
    guard json.isObject else { throw mismatch("an object") }
    guard let node = self[key] else { throw .missing(location: location, name: "\"\(key)\"") }
    return node
  }

  func elements() throws(TokenizerError) -> [JSONNode] {
    guard let array = json.array else { throw mismatch("an array") }
    return array.enumerated().map { JSONNode($1, file: file, path: "\(path)[\($0)]") }
  }

  func members() throws(TokenizerError) -> [(key: String, value: JSONNode)] {
    guard let members = json.members else { throw mismatch("an object") }
    return members.map { ($0.key, JSONNode($0.value, file: file, path: "\(path)[\"\($0.key)\"]")) }
  }

  func string() throws(TokenizerError) -> String {
    guard let string = json.string else { throw mismatch("a string") }
    return string
  }

  func string(_ key: String) throws(TokenizerError) -> String { try required(key).string() }

  /// The UTF-8 bytes of a string.
  func text(_ key: String) throws(TokenizerError) -> [UInt8] { Array(try string(key).utf8) }

  func int() throws(TokenizerError) -> Int {
    guard let int = json.int else { throw mismatch("an integer") }
    return int
  }

  func bool() throws(TokenizerError) -> Bool {
    guard let bool = json.bool else { throw mismatch("true or false") }
    return bool
  }

  /// A member that may be absent or null.
  func bool(_ key: String, default value: Bool) throws(TokenizerError) -> Bool {
    guard let node = self[key] else { return value }
    return try node.bool()
  }

  /// A count that is not negative and small enough to work with.
  func count(_ key: String) throws(TokenizerError) -> Int {
    let node = try required(key)
    let count = try node.int()
    guard (0...0xFFFF).contains(count) else { throw node.mismatch("a count from 0 to 65535") }
    return count
  }

  /// One of the cases of an enumeration, by its spelling in the file.
  func choice<Choice: RawRepresentable & CaseIterable>(
    _ type: Choice.Type
  ) throws(TokenizerError) -> Choice where Choice.RawValue == String {
    let spelling = try string()
    guard let choice = Choice(rawValue: spelling) else {
      throw mismatch("one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return choice
  }

  func mismatch(_ expected: String) -> TokenizerError {
    .malformed(location: location, expected: expected, found: json.kind)
  }

  /// The kind of this component is one that Weft does not know.
  func unsupported(_ kind: String, known: [String]) -> TokenizerError {
    .unsupported(location: location, expected: "one of \(known.joined(separator: ", "))", found: "\"\(kind)\"")
  }
}
