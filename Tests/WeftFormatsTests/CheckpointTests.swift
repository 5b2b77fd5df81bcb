// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

struct CheckpointTests {
  /// The shards and their index were written by huggingface_hub (tools/make_format_goldens.py).
  @Test func shardsAreOneCheckpoint() throws {
    let checkpoint = try Checkpoint(path: TestPaths.goldens + "/formats/sharded")
    let whole = try Golden("formats/sharded.safetensors")
    #expect(checkpoint.form == .huggingFace && checkpoint.gguf == nil)
    #expect(checkpoint.config?["hidden_size"]?.int == 8)
    #expect(Set(checkpoint.tensors.keys) == Set(whole.file.tensorOrder))
    for (name, tensor) in checkpoint.tensors {
      #expect(referenceFloats(tensor) == (try whole.floats(name)))
    }
    let storages = Set(checkpoint.tensors.values.map { ObjectIdentifier($0.storage) })
    #expect(storages.count == 2)
  }

  @Test func aGGUFFileIsACheckpoint() throws {
    let checkpoint = try Checkpoint(path: TestPaths.goldens + "/formats/tiny.gguf")
    #expect(checkpoint.form == .gguf && checkpoint.config == nil)
    #expect(checkpoint.gguf?.metadata["general.architecture"] == .string("llama"))
    #expect(checkpoint.tensors.count == 9)
  }

  @Test func oneFileIsPreferredToShards() throws {
    let folder = try TemporaryFolder()
    try folder.write(Array("{}".utf8), to: "config.json")
    try folder.write(try readBytes(TestPaths.goldens + "/formats/sharded.safetensors"), to: "model.safetensors")
    try folder.write(Array("not read".utf8), to: "model.safetensors.index.json")
    #expect(try Checkpoint(path: folder.path).tensors.count == 3)
  }

  @Test func aPathThatIsNotThereIsNamed() {
    let error = #expect(throws: FormatError.self) { try Checkpoint(path: "/no/such/model") }
    #expect(error == .storage(.cannotOpen(path: "/no/such/model", reason: "No such file or directory")))
  }

  @Test func aSafetensorsFileIsAnsweredWithAdvice() {
    let path = TestPaths.goldens + "/formats/tiny.safetensors"
    let error = #expect(throws: FormatError.self) { try Checkpoint(path: path) }
    #expect(error?.description.contains("give the folder of a safetensors file") == true)
  }
}
