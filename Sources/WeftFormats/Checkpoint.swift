// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import WeftTensors

/// The tensors of a model and what describes them, whatever form they have on disk.
///
/// A path is a GGUF file, or a Hugging Face folder: `config.json` with `model.safetensors`, or with
/// `model.safetensors.index.json` and the shards that it names.
package struct Checkpoint: Sendable {
  /// The form on disk. Tensor names, and the layout of query and key rows, differ between the two.
  package enum Form: Sendable, Equatable { case gguf, huggingFace }

  package let path: String
  package let form: Form
  /// All tensors, by the names in the file or folder.
  package let tensors: [String: Tensor]
  /// `config.json`; nil for GGUF.
  package let config: JSON?
  /// The GGUF file with its metadata; nil for a folder.
  package let gguf: GGUFFile?

  /// Opens the file or folder at `path`.
  package init(path: String) throws(FormatError) {
    self.path = path
    if Checkpoint.isFolder(path) {
      let folder = HuggingFaceFolder(path: path)
      config = try folder.config()
      tensors = try folder.tensors()
      form = .huggingFace
      gguf = nil
    } else {
      let file = try Checkpoint.openGGUF(path)
      tensors = file.tensors
      form = .gguf
      config = nil
      gguf = file
    }
  }

  private static func openGGUF(_ path: String) throws(FormatError) -> GGUFFile {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw .storage(error) }
    guard storage.bytes.starts(with: "GGUF".utf8) else {
      let advice = path.hasSuffix(".safetensors") ? "; give the folder of a safetensors file" : ""
      throw .unsupported(
        location: path, expected: "a GGUF file, or a folder with config.json and safetensors\(advice)",
        found: "a file that does not begin with GGUF")
    }
    return try GGUFFile(storage: storage, path: path)
  }

  static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
