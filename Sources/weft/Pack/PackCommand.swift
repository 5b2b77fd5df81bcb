// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftAdapters
import WeftEngine
import WeftFormats

/// `weft pack`: adapters as packs.
struct PackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Put adapters into packs (.weft), look into packs, take adapters out, sign and verify.",
    discussion: """
      A pack is one file with one adapter or a library of several, compressed without loss, hashed as a whole, and signed if you \
      want. Everything that reads an adapter reads a pack.

        weft pack create experts/roman --model base.gguf --output roman.weft
        weft pack create roman.weft time=experts/clock --output library.weft
        weft pack list library.weft
        weft pack sign library.weft --key private.pem
        weft pack verify library.weft --key public.pem
        weft pack extract library.weft --output folders
        weft chat --adapter roman=library.weft --require-signed public.pem
      """,
    subcommands: [PackCreate.self, PackList.self, PackExtract.self, PackSign.self, PackVerify.self])

  /// The errors of packs as those of the engine, which have exit codes.
  static func translating<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as FormatError { throw EngineError(error) } catch let error as AdapterError {
      throw EngineError(error)
    }
  }
}

/// `weft pack list`: what is in it, tensor by tensor.
struct PackList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the members of a pack, and every tensor with coding, bytes and ratio.",
    discussion: """
      The ratio is that of the same numbers as F16 to the bytes in the file. A tensor that several members share is marked, and \
      stored once. Nothing is decoded; weft pack verify looks at every byte.

        weft pack list library.weft
      """)

  @Argument(help: ArgumentHelp("A pack.", valueName: "pack"))
  var path: String

  func run() throws {
    try PackCommand.translating {
      let description = PackDescription(try PackFile(path: path))
      print(Terminal.styled("pack \(path)", .bold))
      description.factLines.forEach { print($0) }
      description.lines(grouped: false).forEach { print($0) }
    }
  }
}

/// `weft pack extract`: back to files.
struct PackExtract: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "extract", abstract: "Write the adapters of a pack as the folders or files that they were.",
    discussion: """
      A single adapter is written into FOLDER itself, several into folders of their names in it. Numbers come out as they went in; \
      ternary and quantised tensors, which safetensors cannot hold, as --type says.

        weft pack extract roman.weft --output roman
        weft pack extract library.weft --member clock --type f16 --output clock
      """)

  @Argument(help: ArgumentHelp("A pack.", valueName: "pack"))
  var path: String

  @Option(help: ArgumentHelp("The folder to write.", valueName: "folder"))
  var output: String

  @Option(help: ArgumentHelp("Only this member.", valueName: "name"))
  var member: String?

  @Option(help: "How ternary and quantised tensors are written: f32 (exact), f16 or bf16.")
  var type: PlainType = .f32

  func run() throws {
    try PackCommand.translating {
      let written = try AdapterExtraction.extract(
        try PackFile(path: path), to: PackExtract.plainFolder(output), as: type.dtype, name: member)
      written.forEach { print($0) }
    }
  }

  /// Without slashes at the end.
  private static func plainFolder(_ path: String) -> String {
    var path = path[...]
    while path.count > 1, path.last == "/" { path = path.dropLast() }
    return String(path)
  }
}
