// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine
import WeftFormats
import WeftRouting

/// `weft inspect`: what is in a file.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what is in a model, an adapter or a router, with sizes.",
    discussion: """
      PATH is a GGUF file, a Hugging Face folder, a PEFT folder, a router, or any safetensors file. Nothing is computed, so a \
      file that Weft cannot run can be looked at as well.

        weft inspect Models/demo/base.gguf
        weft inspect Models/demo/experts/roman
        weft inspect Models/demo/router.safetensors
      """)

  @Argument(help: ArgumentHelp("File or folder.", valueName: "path"))
  var path: String

  func run() throws {
    do {
      for line in try FileDescription(path).lines { print(line) }
    } catch let error as FormatError { throw EngineError(error) } catch let error as RouterError { throw EngineError(error) }
  }
}
