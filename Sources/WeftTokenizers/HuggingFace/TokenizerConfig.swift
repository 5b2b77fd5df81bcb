// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftFormats
internal import WeftTensors

/// What lies beside tokenizer.json in a folder: `tokenizer_config.json`, `special_tokens_map.json`, `chat_template.jinja`.
/// All three may be absent.
struct TokenizerConfig {
  let addsBeginToken: Bool?
  let addsEndToken: Bool?
  let chatTemplate: String?
  /// The configuration's path, for errors.
  let location: String
  private let files: [JSONNode]

  init(folder: String) throws(TokenizerError) {
    var files: [JSONNode] = []
    for name in ["tokenizer_config.json", "special_tokens_map.json"] where Self.exists("\(folder)/\(name)") {
      files.append(try Self.object("\(folder)/\(name)"))
    }
    self.files = files
    let location = "\(folder)/tokenizer_config.json"
    let config = files.first { $0.location == location }
    self.location = location
    addsBeginToken = try config?["add_bos_token"]?.bool()
    addsEndToken = try config?["add_eos_token"]?.bool()
    chatTemplate = try Self.chatTemplate(folder, config)
  }

  /// The content of a named token (`bos_token`, ...), a string or an object with one; nil when no file names it.
  func token(_ name: String) throws(TokenizerError) -> (content: String, location: String)? {
    for file in files {
      guard let node = file[name] else { continue }
      return (node.json.isObject ? try node.string("content") : try node.string(), node.location)
    }
    return nil
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  static func object(_ path: String) throws(TokenizerError) -> JSONNode {
    let json: JSON
    do { json = try JSON(file: path) } catch { throw .format(error) }
    let node = JSONNode(json, file: path)
    guard json.isObject else { throw node.mismatch("an object") }
    return node
  }

  /// The file of its own goes before the member of the configuration; of several named templates, the one named "default".
  private static func chatTemplate(_ folder: String, _ config: JSONNode?) throws(TokenizerError) -> String? {
    let path = "\(folder)/chat_template.jinja"
    if exists(path) {
      let storage: Storage
      do { storage = try Storage(mapping: path) } catch { throw .format(.storage(error)) }
      return withExtendedLifetime(storage) { String(decoding: UnsafeRawBufferPointer(storage.bytes), as: UTF8.self) }
    }
    guard let node = config?["chat_template"] else { return nil }
    guard node.json.isArray else { return try node.string() }
    for entry in try node.elements() where try entry.string("name") == "default" { return try entry.string("template") }
    return nil
  }
}
