// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

/// Writes a model as transformers' `save_pretrained` does: `model.safetensors`, or shards with an index when it is large, with
/// config.json and what else belongs to the model, as its tokenizer.
///
/// Tensors are declared first and follow in that order. Files get their names in `finish`, config.json last: what was
/// interrupted before has left no file.
package final class ModelFolderWriter {
  /// The shard size of transformers.
  package static let standardShardBytes = 5_000_000_000

  private struct Shard {
    let name: String
    var tensors: [SafetensorsWriter.Declaration]
    var byteCount: Int
  }

  package let path: String
  private let shards: [Shard]
  private var writers: [SafetensorsWriter] = []
  /// Bytes that the shard which is being written still gets.
  private var missing = 0
  private let makesFolder: Bool
  private var isFinished = false

  /// Creates the folder, which has to be new or empty.
  package init(
    path: String, tensors: [SafetensorsWriter.Declaration], maximumShardBytes: Int = standardShardBytes
  ) throws(FormatError) {
    self.path = path
    shards = try ModelFolderWriter.shards(tensors, maximumShardBytes, path: path)
    if mkdir(path, 0o777) == 0 {
      makesFolder = true
    } else {
      guard errno == EEXIST else { throw .cannotWrite(path: path, reason: String(cString: strerror(errno))) }
      guard try ModelFolderWriter.names(in: path).isEmpty else {
        throw .cannotWrite(path: path, reason: "expected a new or empty folder, found one with files")
      }
      makesFolder = false
    }
  }

  deinit {
    writers = []
    if !isFinished, makesFolder { rmdir(path) }
  }

  private static func shards(
    _ tensors: [SafetensorsWriter.Declaration], _ limit: Int, path: String
  ) throws(FormatError) -> [Shard] {
    var groups: [(tensors: [SafetensorsWriter.Declaration], bytes: Int)] = []
    for tensor in tensors {
      guard let count = Tensor.elementCount(of: tensor.shape), let bytes = tensor.dtype.byteCount(elements: count) else {
        throw .malformed(
          location: "\(path): tensor '\(tensor.name)'", expected: "fewer than 2^63 bytes", found: "shape \(tensor.shape)")
      }
      if let last = groups.last, last.bytes + bytes <= limit {
        groups[groups.count - 1].tensors.append(tensor)
        groups[groups.count - 1].bytes += bytes
      } else {
        groups.append(([tensor], bytes))
      }
    }
    func digits(_ number: Int) -> String { String(repeating: "0", count: max(0, 5 - "\(number)".count)) + "\(number)" }
    return groups.enumerated().map { index, group in
      let name =
        groups.count == 1 ? "model.safetensors" : "model-\(digits(index + 1))-of-\(digits(groups.count)).safetensors"
      return Shard(name: name, tensors: group.tensors, byteCount: group.bytes)
    }
  }

  /// Appends bytes of the declared tensors, in their order; of one tensor at a time.
  package func append(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    guard !bytes.isEmpty else { return }
    while missing == 0 {
      guard writers.count < shards.count else {
        throw .malformed(location: path, expected: "no bytes after the last tensor", found: "\(bytes.count)")
      }
      try openShard()
    }
    guard let writer = writers.last else { return }
    try writer.append(bytes)
    missing -= min(bytes.count, missing)
  }

  private func openShard() throws(FormatError) {
    let shard = shards[writers.count]
    writers.append(
      try SafetensorsWriter(path: "\(path)/\(shard.name)", tensors: shard.tensors, metadata: ["format": "pt"]))
    missing = shard.byteCount
  }

  /// Completes all files.
  /// - Parameters:
  ///   - config: the text of config.json.
  ///   - source: a folder whose other files belong to the model too: those that are neither weights nor config.json.
  package func finish(config: String, filesOf source: String?) throws(FormatError) {
    while writers.count < shards.count { try openShard() }
    for writer in writers { try writer.finish() }
    if shards.count > 1 { try write(index, to: "model.safetensors.index.json") }
    if let source {
      for name in try ModelFolderWriter.companions(in: source) {
        let storage: Storage
        do { storage = try Storage(mapping: "\(source)/\(name)") } catch { throw .storage(error) }
        let file = try AtomicFile(path: "\(path)/\(name)")
        try file.write(UnsafeRawBufferPointer(storage.bytes))
        try file.commit()
      }
    }
    try write(config, to: "config.json")
    isFinished = true
  }

  private var index: String {
    let total = shards.reduce(0) { $0 + $1.byteCount }
    let rows = shards.flatMap { shard in shard.tensors.map { ($0.name, shard.name) } }.sorted { $0.0 < $1.0 }
    let map = rows.map { "    \(JSON.text($0.0)): \(JSON.text($0.1))" }.joined(separator: ",\n")
    return "{\n  \"metadata\": {\n    \"total_size\": \(total)\n  },\n  \"weight_map\": {\n\(map)\n  }\n}\n"
  }

  private func write(_ text: String, to name: String) throws(FormatError) {
    let file = try AtomicFile(path: "\(path)/\(name)")
    let bytes = Array(text.utf8)
    let result: Result<Void, FormatError> = bytes.withUnsafeBytes { buffer in
      do throws(FormatError) { return .success(try file.write(buffer)) } catch { return .failure(error) }
    }
    try result.get()
    try file.commit()
  }

  // MARK: - Other files

  /// Files of a model's folder that are neither weights nor config.json, sorted; empty ones and folders are passed over.
  static func companions(in folder: String) throws(FormatError) -> [String] {
    let weights = [".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".gguf", ".onnx", ".ot", ".index.json", ".npz"]
    return try names(in: folder).filter { name in
      var status = stat()
      return name != "config.json" && !name.hasPrefix(".") && !weights.contains(where: name.hasSuffix)
        && stat("\(folder)/\(name)", &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_size > 0
    }
  }

  private static func names(in folder: String) throws(FormatError) -> [String] {
    guard let stream = opendir(folder) else { throw .cannotWrite(path: folder, reason: String(cString: strerror(errno))) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
