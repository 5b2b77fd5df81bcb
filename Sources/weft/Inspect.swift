// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftAdapters
import WeftEngine
import WeftFormats
import WeftRouting

/// `weft inspect`: what is in a file.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what is in a model, an adapter or a router, with sizes; or what loading it takes in memory.",
    discussion: """
      PATH is a GGUF file, a Hugging Face folder, a PEFT folder, a pack, a router, or any safetensors file. Nothing is computed, so a \
      file that Weft cannot run can be looked at as well. With --plan, PATH is a model: what its weights, keys and values, \
      activations and adapters will take in memory, item by item, without loading it.

        weft inspect Models/demo/base.gguf
        weft inspect --plan --context 1024 --kv-type q8_0 Models/demo/base.gguf
        weft inspect Models/demo/experts/roman.weft
        weft inspect --model Models/demo/base.gguf Models/demo/experts/roman.weft
        weft inspect Models/demo/router.safetensors
      """)

  @Argument(help: ArgumentHelp("File or folder.", valueName: "path"))
  var path: String

  @Option(
    name: [.long, .customShort("m")],
    help: ArgumentHelp(
      "Read the adapter PATH for this model: what it changes there, norms included.", valueName: "path"))
  var model: String?

  @Option(help: ArgumentHelp("With --model: which adapter, where PATH holds several.", valueName: "name"))
  var member: String?

  @Option(name: .customLong("adapter-option"), help: AdapterOptionArgument.help)
  var options: [AdapterOptionArgument] = []

  @Flag(help: "Show what loading the model takes in memory. The options below say how it would be loaded.")
  var plan = false

  @OptionGroup(title: "Plan")
  var loading: PlanOptions

  func validate() throws {
    if plan, model != nil { throw ValidationError("--model: expected without --plan, whose PATH is the model") }
    if model == nil, member != nil { throw ValidationError("--member: expected together with --model") }
    if model == nil, !options.isEmpty { throw ValidationError("--adapter-option: expected together with --model") }
    try options.validate(for: member.map { [$0] } ?? ["adapter"])
    if !plan, let name = loading.given { throw ValidationError("\(name): expected together with --plan") }
  }

  func run() throws {
    if let model {
      let report = try AdapterReport(
        adapter: path, model: model, options: .init(options, for: member ?? "adapter"), name: member ?? "adapter")
      print(Terminal.styled("adapter \(path) on \(model)", .bold))
      return AdapterListing(report).lines.forEach { print($0) }
    }
    if plan { return try loading.lines(path).forEach { print($0) } }
    do {
      for line in try FileDescription(path).lines { print(line) }
    } catch let error as FormatError { throw EngineError(error) } catch let error as AdapterError {
      throw EngineError(error)
    } catch let error as RouterError { throw EngineError(error) }
  }
}
