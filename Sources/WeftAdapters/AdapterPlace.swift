// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftFormats

/// Where the files of an adapter are, told by their names (and by the first bytes of a GGUF file or pack): nothing is read yet.
struct AdapterPlace {
  enum Kind: Equatable {
    /// `adapter_config.json` beside this file of tensors.
    case folder(String)
    case safetensors
    case gguf
    case model
    /// One file with one adapter or several.
    case pack
  }

  let path: String
  let kind: Kind

  static let configName = "adapter_config.json"
  static let peftName = "adapter_model.safetensors"
  /// Files of tensors that stand beside a configuration: PEFT's, those of mlx-lm, those of the library `adapters`.
  static let tensorsNames = [peftName, "adapters.safetensors", "adapter.safetensors"]
  /// Their forms as pickles, or as archives that Weft does not read.
  private static let pickleNames = ["adapter_model.bin", "adapter_model.pt", "pytorch_adapter.bin", "adapters.npz"]
  private static let pickleEndings = [".bin", ".pt", ".pth", ".ckpt", ".pkl"]

  /// Whether there is a configuration.
  var hasConfig: Bool { if case .folder = kind { true } else { false } }

  /// - Parameter name: the folder to look into when `path` holds folders of several adapters.
  init(_ path: String, name: String) throws(AdapterError) {
    if AdapterPlace.isFolder(path) {
      self = try AdapterPlace.folder(path, name: name)
      return
    }
    guard AdapterPlace.exists(path) else { throw .noAdapter(location: path, found: "nothing at this path") }
    if AdapterPlace.pickleEndings.contains(where: { path.hasSuffix($0) }) {
      throw .pickle(location: path, name: path.split(separator: "/").last.map(String.init) ?? path)
    }
    let start = AdapterPlace.start(of: path)
    if start.starts(with: "GGUF".utf8) {
      self.init(path: path, kind: .gguf)
    } else if start.withUnsafeBytes(PackFile.isPack) {
      self.init(path: path, kind: .pack)
    } else if path.hasSuffix(".safetensors") {
      self.init(path: path, kind: .safetensors)
    } else {
      throw .noAdapter(
        location: path, found: "a file that begins neither with GGUF nor as a pack, and is not called .safetensors")
    }
  }

  /// One adapter, or the folders of several in one.
  enum Content {
    case one(AdapterPlace)
    case several([String])
  }

  /// What `path` holds, where several are not one too many.
  static func content(of path: String) throws(AdapterError) -> Content {
    if isFolder(path), !exists("\(path)/\(configName)"), !exists("\(path)/config.json") {
      let folders = adapters(in: path)
      if folders.count > 1 { return .several(folders) }
    }
    return .one(try AdapterPlace(path, name: "default"))
  }

  /// The names of folders in a folder that hold a configuration, sorted.
  private static func adapters(in path: String) -> [String] { names(in: path).filter { exists("\(path)/\($0)/\(configName)") } }

  private init(path: String, kind: Kind) {
    self.path = path
    self.kind = kind
  }

  private static func folder(_ path: String, name: String) throws(AdapterError) -> AdapterPlace {
    if exists("\(path)/\(configName)") {
      if let tensors = tensorsNames.first(where: { exists("\(path)/\($0)") }) {
        return AdapterPlace(path: path, kind: .folder(tensors))
      }
      for pickle in pickleNames where exists("\(path)/\(pickle)") { throw .pickle(location: path, name: pickle) }
      throw .missingFile(location: path, name: peftName)
    }
    if exists("\(path)/config.json") { return AdapterPlace(path: path, kind: .model) }
    let files = names(in: path)
    let adapters = adapters(in: path)
    if adapters.contains(name) { return try folder("\(path)/\(name)", name: name) }
    if adapters.contains(Arrow.router) { return try folder("\(path)/\(Arrow.router)", name: name) }
    if adapters.count == 1 { return try folder("\(path)/\(adapters[0])", name: name) }
    guard adapters.isEmpty else {
      throw .noAdapter(location: path, found: "the folders of several: \(adapters.joined(separator: ", "))")
    }
    for pickle in files where pickleEndings.contains(where: { pickle.hasSuffix($0) }) {
      throw .pickle(location: path, name: pickle)
    }
    throw .noAdapter(location: path, found: files.isEmpty ? "an empty folder" : files.prefix(10).joined(separator: ", "))
  }

  /// The first bytes of a file; fewer when it is shorter or cannot be read.
  private static func start(of path: String) -> [UInt8] {
    guard let file = fopen(path, "rb") else { return [] }
    defer { fclose(file) }
    return [UInt8](unsafeUninitializedCapacity: 8) { bytes, count in count = fread(bytes.baseAddress, 1, 8, file) }
  }

  /// The names in a folder, sorted, without hidden ones.
  private static func names(in path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
  }

  private static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
