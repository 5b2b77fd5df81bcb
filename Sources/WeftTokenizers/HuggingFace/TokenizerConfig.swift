// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftFormats
internal import WeftTensors

/// What lies beside tokenizer.json in a folder: `tokenizer_config.json`, `special_tokens_map.json`, `chat_template.jinja`.
/// All three may be absent.
struct TokenizerConfig {
  let addsBeginToken: Bool?
  let addsEndToken: Bool?
  /// Templates by name; the one of no name is "default".
  let chatTemplates: [String: String]
  /// The configuration's path, for errors.
  let location: String
  private let files: [JSONNode]
  private let config: JSONNode?
  /// The model's own configuration, config.json.
  private let modelConfig: JSONNode?

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
    self.config = config
    let modelFile = "\(folder)/config.json"
    modelConfig = Self.exists(modelFile) ? try Self.object(modelFile) : nil
    chatTemplates = try Self.chatTemplates(folder, config)
  }

  /// A flag of tokenizer_config.json; nil when absent.
  func flag(_ name: String) throws(TokenizerError) -> Bool? { try config?[name]?.bool() }

  /// `tokenizer_class`, and where it stands.
  func tokenizerClass() throws(TokenizerError) -> (name: String, location: String)? {
    guard let node = config?["tokenizer_class"] else { return nil }
    return (try node.string(), node.location)
  }

  /// `model_type` of config.json, and where it stands.
  func modelType() throws(TokenizerError) -> (name: String, location: String)? {
    guard let node = modelConfig?["model_type"] else { return nil }
    return (try node.string(), node.location)
  }

  /// `added_tokens_decoder` of the configuration, else `added_tokens.json` (content to id).
  func addedTokens(folder: String) throws(TokenizerError) -> [AddedTokenEntry] {
    var entries: [AddedTokenEntry] = []
    if let members = try config?["added_tokens_decoder"]?.members() {
      for (key, node) in members {
        guard let id = Int32(key), id >= 0 else { throw node.mismatch("an id as key") }
        entries.append(try AddedTokenEntry(node, id: id))
      }
      return entries
    }
    let file = "\(folder)/added_tokens.json"
    guard Self.exists(file) else { return [] }
    let special = Set(try namedTokens())
    for (content, node) in try Self.object(file).members() {
      guard let id = Int32(exactly: try node.int()), id >= 0 else { throw node.mismatch("an id that is not negative") }
      let token = AddedToken(id: id, content: Array(content.utf8), isSpecial: special.contains(content))
      entries.append(AddedTokenEntry(token, isNormalized: !token.isSpecial, location: node.location))
    }
    return entries
  }

  /// The contents of all tokens that the files name as special.
  func namedTokens() throws(TokenizerError) -> [String] {
    var names: [String] = []
    for name in ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"] {
      if let (content, _) = try token(name) { names.append(content) }
    }
    for file in files {
      guard let list = file["additional_special_tokens"] ?? file["extra_special_tokens"], list.json.isArray else { continue }
      for node in try list.elements() {
        names.append(node.json.isObject ? try node.string("content") : try node.string())
      }
    }
    return names
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

  /// Files of their own go before the member of the configuration, which is one template or a list of named ones.
  private static func chatTemplates(_ folder: String, _ config: JSONNode?) throws(TokenizerError) -> [String: String] {
    var templates: [String: String] = [:]
    if let node = config?["chat_template"] {
      if node.json.isArray {
        for entry in try node.elements() { templates[try entry.string("name")] = try entry.string("template") }
      } else {
        templates["default"] = try node.string()
      }
    }
    let path = "\(folder)/chat_template.jinja"
    if exists(path) { templates["default"] = try text(path) }
    // What transformers writes for more than one template.
    for file in names(in: "\(folder)/additional_chat_templates") where file.hasSuffix(".jinja") {
      templates[String(file.dropLast(6))] = try text("\(folder)/additional_chat_templates/\(file)")
    }
    return templates
  }

  private static func text(_ path: String) throws(TokenizerError) -> String {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw .format(.storage(error)) }
    return withExtendedLifetime(storage) { String(decoding: UnsafeRawBufferPointer(storage.bytes), as: UTF8.self) }
  }

  /// The files of a folder, sorted; none when there is no such folder.
  private static func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      names.append(name)
    }
    return names.sorted()
  }
}
