// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas

/// One way to break `AdapterFixture`, and the error that it must give. Errors are made from the paths of the two files.
struct Refusal: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let change: @Sendable (inout AdapterFixture) throws -> Void
  let error: @Sendable (_ config: String, _ tensors: String) -> AdapterError

  init(
    _ name: String, _ change: @escaping @Sendable (inout AdapterFixture) throws -> Void,
    error: @escaping @Sendable (_ config: String, _ tensors: String) -> AdapterError
  ) {
    testDescription = name
    self.change = change
    self.error = error
  }

  func check(base: BaseShape = AdapterFixture.base, values: BaseModel.Values? = nil) throws {
    var fixture = try AdapterFixture()
    try change(&fixture)
    let folder = try TemporaryFolder()
    try fixture.write(to: folder)
    let expected = error(folder.file("adapter_config.json"), folder.file("adapter_model.safetensors"))
    #expect(throws: expected) {
      try AdapterReader.read(folder: folder.path, name: "tiny", base: BaseModel(shape: base, values: values))
    }
  }
}
