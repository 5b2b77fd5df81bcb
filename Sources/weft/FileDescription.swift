// SPDX-License-Identifier: Apache-2.0

import Foundation
import WeftAdapters
import WeftEngine
import WeftFormats
import WeftRouting
import WeftTensors

/// A model, adapter or router in words: facts first, then its tensors.
struct FileDescription {
  private var kind = ""
  private var facts: [(name: String, value: String)] = []
  private var tensors: [(name: String, tensor: Tensor)] = []
  /// Tensors in a form of their own; empty for `tensors`.
  private var listing: [String] = []
  private let path: String

  init(_ path: String) throws {
    self.path = path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw EngineError(.notFound, "\(path): expected a file or folder, found none")
    }
    if isFolder.boolValue {
      if FileManager.default.fileExists(atPath: path + "/adapter_config.json") {
        try describeAdapter()
      } else {
        try describeHuggingFace()
      }
    } else if try FileDescription.begins(path, PackFile.isPack) {
      let pack = PackDescription(try PackFile(path: path))
      (kind, facts, listing) = ("pack", pack.facts, pack.lines(grouped: true))
    } else if try FileDescription.begins(path, { $0.starts(with: "GGUF".utf8) }) {
      if let outline = try? AdapterOutline(path: path), outline.family.mark != .model {
        try describeAdapter()
      } else {
        try describeGGUF()
      }
    } else {
      try describeSafetensors()
    }
  }

  /// What `weft inspect` prints.
  var lines: [String] {
    let width = (facts.map(\.name.count).max() ?? 0) + 2
    return [Terminal.styled(kind, .bold)] + facts.map { "  " + Readable.padded($0.name, width) + $0.value }
      + (listing.isEmpty ? TensorListing(tensors).lines : listing)
  }

  // MARK: Kinds

  private mutating func describeGGUF() throws {
    let file = try GGUFFile(path: path)
    kind = file.tensors.isEmpty ? "GGUF vocabulary" : "GGUF model"
    facts = [("version", "\(file.version)"), ("size", Readable.bytes(file.storage.bytes.count))]
    facts += file.metadataOrder.compactMap { key in file.metadata[key].map { (key, FileDescription.oneLine($0.summary)) } }
    tensors = file.tensorOrder.compactMap { name in file.tensors[name].map { (name, $0) } }
  }

  private mutating func describeHuggingFace() throws {
    let checkpoint = try Checkpoint(path: path)
    kind = "Hugging Face model"
    facts = FileDescription.facts(of: checkpoint.config)
    tensors = checkpoint.tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }

  private mutating func describeAdapter() throws {
    let outline = try AdapterOutline(path: path)
    kind = "\(outline.family.name) adapter"
    let operators = outline.family.operators.joined(separator: ", ")
    facts = [
      ("operators", operators.isEmpty ? "none: it is refused, with the reason" : operators),
      ("mixing", "\(outline.family.mixing.rawValue) (weft inspect --model MODEL says more)"),
      ("fusing", outline.family.isFusable ? "into float weights" : "beside the base only"),
      ("tensors", Readable.bytes(outline.tensors.reduce(0) { $0 + $1.tensor.byteCount })),
    ]
    if let config = outline.config {
      // Options that were not given say nothing about the adapter.
      facts += FileDescription.facts(of: config).filter { $0.value != "null" }
    }
    for (layer, norm) in outline.layerNorms {
      facts.append((layer.map { "norm of layer \($0)" } ?? "norm outside", Readable.decimal(norm, digits: 3)))
    }
    tensors = outline.tensors
  }

  private mutating func describeSafetensors() throws {
    let file: SafetensorsFile
    do throws(FormatError) { file = try SafetensorsFile(path: path) } catch {
      guard case .malformed = error else { throw error }
      throw EngineError(
        .corruptFile, "\(error); it is neither GGUF nor a folder with config.json or adapter_config.json")
    }
    tensors = file.tensorOrder.compactMap { name in file.tensors[name].map { (name, $0) } }
    guard file.metadata["format"] == "weft-router" else {
      // Adapters of one file are known by the names of their tensors.
      if (try? AdapterOutline(path: path)) != nil { return try describeAdapter() }
      kind = "safetensors"
      facts = file.metadata.sorted { $0.key < $1.key }.map { ($0.key, FileDescription.oneLine($0.value)) }
      return
    }
    let router = try Router(file: path)
    kind = "router"
    facts = [
      ("choices", router.adapters.joined(separator: ", ")),
      ("features", "\(router.featureSize) after layer \(router.featureLayer)"),
      ("hidden units", "\(router.hiddenSize)"),
      ("top-p", "\(router.topP)"),
      ("base", router.base),
    ]
  }

  // MARK: Parts

  private static func begins(_ path: String, _ test: (UnsafeRawBufferPointer) -> Bool) throws -> Bool {
    let storage: Storage
    do throws(StorageError) { storage = try Storage(mapping: path) } catch { throw EngineError(.notFound, error.description) }
    return withExtendedLifetime(storage) { test(UnsafeRawBufferPointer(storage.bytes)) }
  }

  private static func facts(of json: JSON?) -> [(name: String, value: String)] {
    (json?.members ?? []).map { ($0.key, oneLine(text(of: $0.value))) }
  }

  private static func text(of json: JSON) -> String {
    if json.isNull { return "null" }
    if let text = json.string { return text }
    if let members = json.members { return "{\(members.map { "\($0.key): \(text(of: $0.value))" }.joined(separator: ", "))}" }
    guard let elements = json.array else { return json.kind }
    return elements.map { text(of: $0) }.joined(separator: ", ")
  }

  private static func oneLine(_ text: String) -> String {
    let line = text.split(whereSeparator: \.isNewline).joined(separator: "\\n")
    return line.count > 100 ? line.prefix(97) + "..." : line
  }
}
