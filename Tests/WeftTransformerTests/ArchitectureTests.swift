// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
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
        let error = relativeError(runner.logits(tokens), try golden.floats("logits"))
        print("ERR", form, error)
      } catch { print("FAIL", form, error) }
    }
  }
}
