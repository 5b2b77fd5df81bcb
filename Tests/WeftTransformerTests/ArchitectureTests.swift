// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftAdapters
import WeftFormats
import WeftTensors
import WeftTransformer

/// Small random models of every architecture against transformers, from both forms of checkpoint
/// (tools/make_architecture_goldens.py; Goldens/architectures/README.md says what each one switches on).
@Suite struct ArchitectureTests {
  static let folder = TestPaths.goldens + "/architectures"

  static let names = try! FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasSuffix(".md") }.sorted()

  @Test(arguments: names) func logits(name: String) throws {
    let golden = try Golden("architectures/\(name)/logits.safetensors")
    let tokens = try golden.integers("tokens").map(Int32.init)
    for form in [name, name + "/model.gguf"] where FileManager.default.fileExists(atPath: Self.folder + "/" + form) {
      do {
        let runner = try ModelRunner(Self.folder + "/" + form, context: name == "phi4mini-short" ? 16 : nil)
        let full = form != name && name == "mistral-window" ? "logits_full" : "logits"
        let error = relativeError(runner.logits(tokens), try golden.floats(full))
        print("ERR", form, error)
        for adapter in ["adapter", "adapter-unfused", "adapter-per-expert"] {
          let path = Self.folder + "/\(name)/\(adapter)"
          guard FileManager.default.fileExists(atPath: path) else { continue }
          let golden = try Golden("architectures/\(name)/\(adapter)/expected.safetensors")
          let read = try AdapterReader.read(folder: path, name: adapter, base: runner.weights.shape)
          let resident = try ResidentAdapter(read.deltas, groups: runner.weights.inputGroups, pool: runner.pool)
          let mixture = ActiveMixture([(resident, 1)])
          let tokens = try golden.integers("tokens").map(Int32.init)
          print("ERR", form, adapter, relativeError(runner.logits(tokens, mixture: mixture), try golden.floats("logits")))
        }
      } catch { print("FAIL", form, error) }
    }
  }
}
