// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftAdapters
import WeftEngine
import WeftFormats
import WeftTensors

/// `[NAME=]PATH`
struct NamedPath: ExpressibleByArgument {
  let name: String?
  let path: String

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    if parts.count == 2, !parts[0].isEmpty, !parts[0].contains("/"), !FileManager.default.fileExists(atPath: argument) {
      (name, path) = (parts[0], parts[1])
    } else {
      (name, path) = (nil, argument)
    }
    guard !path.isEmpty else { return nil }
  }
}

/// `weft pack create`: adapters into a pack, without loss.
struct PackCreate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Write adapters into a pack, unchanged but for their size on disk.",
    discussion: """
      ADAPTER is what --adapter takes elsewhere: a folder (with the experts that its gate names), a folder of several, a \
      safetensors or GGUF file, or a pack, whose members are taken over. Equal tensors are stored once. With --model the pack is \
      bound to this base and refused for others. A file at the output path is replaced when the new one is complete.

        weft pack create experts/roman --model base.gguf --output roman.weft
        weft pack create experts/* --licence Apache-2.0 --output library.weft
      """)

  @Argument(help: ArgumentHelp("Adapters, each with its name in the pack if you want another.", valueName: "[name=]adapter"))
  var adapters: [NamedPath]

  @Option(name: [.long, .customShort("o")], help: ArgumentHelp("The pack to write.", valueName: "file"))
  var output: String

  @Option(
    name: [.long, .customShort("m")],
    help: ArgumentHelp("The base that the adapters are for: a GGUF file or a Hugging Face folder.", valueName: "path"))
  var model: String?

  @Option(help: ArgumentHelp("The licence of the content, as in Apache-2.0.", valueName: "name"))
  var licence: String?

  @Option(help: ArgumentHelp("What people should know.", valueName: "text"))
  var note: String?

  @Option(help: ArgumentHelp("Sign it with this Ed25519 key (PEM).", valueName: "private.pem"))
  var key: String?

  @Flag(help: "Store tensors as they are: larger, and large ones are mapped rather than decoded when they are read.")
  var raw = false

  func run() throws {
    try PackCommand.translating {
      for adapter in adapters {
        if let source = FileIdentity(adapter.path), source == FileIdentity(output) {
          throw EngineError(.invalidArgument, "--output: expected another file than the adapters, found \(output)")
        }
      }
      let key = try key.map { try PackPrivateKey(pem: $0) }
      let base = try model.map { path throws(EngineError) in try ModelSummary.fingerprint(of: path) }
      let writer = try PackWriter(
        path: output,
        provenance: PackProvenance(base: base, method: "create", licence: licence ?? "", text: note ?? ""), storesRaw: raw)
      var packing = AdapterPacking(writer)
      for adapter in adapters {
        Terminal.showProgress("packing \(adapter.path)")
        defer { Terminal.showProgress("") }
        try packing.add(adapter.path, name: adapter.name)
      }
      let hash = try writer.finish(signedBy: key)
      let stored = try PackFile(path: output).storage.bytes.count
      let source = packing.members.reduce(0) { $0 + $1.byteCount }
      print(
        "\(output): \(Readable.count(packing.members.count, "adapter")), \(Readable.bytes(source)) of numbers in "
          + "\(Readable.bytes(stored)) (\(Readable.decimal(Double(source) / Double(stored), digits: 2)) x)")
      print("content hash \(hash)")
      if writer.provenance.base == nil {
        Terminal.note("no base is stated: --model binds the pack to one, so that it is refused for others")
      }
    }
  }
}
