// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
package import WeftFormats
package import WeftTensors

/// Writes members of a pack as files of their own, in the form that they had.
package enum AdapterExtraction {
  /// Writes members into folders of their names below `folder`, or a single one into `folder` itself. Files that are there
  /// already are replaced, each when its new content is complete; the configuration, without which nothing reads a folder, is last.
  /// - Parameters:
  ///   - type: f32, f16 or bf16, for tensors that the form cannot hold: ternary, and in safetensors quantised ones.
  ///   - name: of the member that is wanted; nil for all.
  /// - Returns: the folders and files that were written.
  package static func extract(
    _ pack: PackFile, to folder: String, as type: DType, name: String? = nil
  ) throws(AdapterError) -> [String] {
    let wanted = pack.members.filter { member in
      name.map { member.name == $0 || member.name.hasPrefix($0 + "/") } ?? true
    }
    guard let first = wanted.first else {
      let names = pack.members.map(\.name).joined(separator: ", ")
      throw .noAdapter(location: pack.path, found: name.map { "no member '\($0)' among \(names)" } ?? "no members")
    }
    let isSingle = wanted.allSatisfy { $0.name == first.name || $0.name.hasPrefix(first.name + "/") }
    // Names are checked before anything is written: they become folders.
    for member in wanted { try checkName(member, pack.path) }
    var written: [String] = []
    for member in wanted {
      let path = isSingle ? folder + member.name.dropFirst(first.name.count) : "\(folder)/\(member.name)"
      written.append(try write(member, of: pack, to: path, as: type))
    }
    return written
  }

  private static func checkName(_ member: PackMember, _ path: String) throws(AdapterError) {
    let parts = member.name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    for part in parts where !Mixture.isName(part) || part == "." || part == ".." { throw .invalidName(part) }
    guard parts.count <= 2 else { throw .invalidName(member.name) }
    if case .folder(let tensors) = member.form, !AdapterPlace.tensorsNames.contains(tensors) {
      throw .noAdapter(location: "\(path): \(member.name)", found: "a file of tensors called '\(tensors)'")
    }
  }

  private static func write(
    _ member: PackMember, of pack: PackFile, to folder: String, as type: DType
  ) throws(AdapterError) -> String {
    let last = String(member.name.split(separator: "/").last ?? "")
    do throws(FormatError) {
      try makeFolders(folder)
      var tensors: [(name: String, tensor: Tensor)] = []
      for reference in member.tensors {
        tensors.append((reference.name, try plain(try pack.tensor(reference.tensor), in: member.form, as: type)))
      }
      switch member.form {
      case .gguf:
        let path = "\(folder)/\(last).gguf"
        let writer = try GGUFWriter(
          path: path, metadata: member.metadata, tensors: tensors.map { ($0.name, $0.tensor.dtype, $0.tensor.shape) })
        for (_, tensor) in tensors { try writer.append(bytes(tensor)) }
        try writer.finish()
        return path
      case .safetensors, .folder:
        var (path, result) = ("\(folder)/\(last).safetensors", "\(folder)/\(last).safetensors")
        if case .folder(let name) = member.form { (path, result) = ("\(folder)/\(name)", folder) }
        try SafetensorsWriter.write(
          Dictionary(tensors.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first }),
          metadata: member.values.compactMapValues(\.string), to: path)
        if !member.config.isEmpty { try writeText(member.config, to: "\(folder)/\(AdapterPlace.configName)") }
        return result
      }
    } catch { throw .format(error) }
  }

  /// A tensor as the form can hold it.
  private static func plain(_ tensor: Tensor, in form: PackMember.Form, as type: DType) throws(FormatError) -> Tensor {
    guard tensor.dtype == .ternary || (form != .gguf && tensor.dtype.isQuantized) else { return tensor }
    do { return try tensor.converted(to: type) } catch { throw .storage(error) }
  }

  private static func bytes(_ tensor: Tensor) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount)
  }

  private static func writeText(_ text: String, to path: String) throws(FormatError) {
    let file = try AtomicFile(path: path)
    let result: Result<Void, FormatError> = Array(text.utf8).withUnsafeBytes { bytes in
      do throws(FormatError) { return .success(try file.write(bytes)) } catch { return .failure(error) }
    }
    try result.get()
    try file.commit()
  }

  /// Makes a folder and those that it lies in, where they are not there.
  private static func makeFolders(_ path: String) throws(FormatError) {
    var end = path.startIndex
    while end < path.endIndex {
      end = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
      let part = String(path[..<end])
      guard mkdir(part, 0o777) == 0 || errno == EEXIST else {
        throw .cannotWrite(path: part, reason: String(cString: strerror(errno)))
      }
    }
  }
}
