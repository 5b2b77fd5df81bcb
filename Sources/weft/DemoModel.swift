// SPDX-License-Identifier: Apache-2.0

import Foundation
import WeftEngine

/// The model that comes with Weft: `Models/demo` with `base.gguf`, a pack or a PEFT folder per expert in `experts`, `router.safetensors`, and
/// test items per expert in `eval`.
struct DemoModel {
  let folder: String

  var model: String { folder + "/base.gguf" }
  var router: String? { existing(folder + "/router.safetensors") }

  /// The experts by name, in order.
  var experts: [(name: String, path: String)] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/experts")) ?? []
    return names.sorted().compactMap { name in
      let path = "\(folder)/experts/\(name)"
      if name.hasSuffix(".weft") { return (String(name.dropLast(5)), path) }
      return existing("\(path)/adapter_config.json").map { _ in (name, path) }
    }
  }

  /// The demo below the current folder or below a folder that the program lies in.
  static func find() throws(EngineError) -> DemoModel {
    var folders = [FileManager.default.currentDirectoryPath]
    if let program = Bundle.main.executableURL?.resolvingSymlinksInPath() {
      var folder = program.deletingLastPathComponent()
      while folder.path != "/" {
        folders.append(folder.path)
        folder = folder.deletingLastPathComponent()
      }
    }
    for folder in folders {
      let demo = DemoModel(folder: folder + "/Models/demo")
      if demo.existing(demo.model) != nil { return demo }
    }
    throw EngineError(
      .notFound,
      "demo model: expected Models/demo/base.gguf below the current folder or a folder of the program, found none; give --model PATH"
    )
  }

  private func existing(_ path: String) -> String? { FileManager.default.fileExists(atPath: path) ? path : nil }
}
