// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

struct SafetensorsWriterTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test(arguments: ["tiny.safetensors", "sharded.safetensors", "tiny.gguf.safetensors"])
  func rewritingAForeignFileGivesTheSameBytes(name: String) throws {
    let source = try SafetensorsFile(path: TestPaths.goldens + "/formats/" + name)
    try SafetensorsWriter.write(source.tensors, metadata: source.metadata, to: folder.file(name))
    #expect(try readBytes(folder.file(name)) == readBytes(source.path))
    #expect(try folder.contents == [name])
  }

  @Test func metadataIsWrittenInTheOrderOfItsKeys() throws {
    let metadata = Dictionary(uniqueKeysWithValues: (0..<20).map { ("key \($0)", "value \($0)\u{1}") })
    let tensor = try Tensor([1, 2], shape: [2])
    try SafetensorsWriter.write(["x": tensor], metadata: metadata, to: folder.file("first"))
    try SafetensorsWriter.write(
      ["x": tensor], metadata: Dictionary(uniqueKeysWithValues: metadata.reversed().map { ($0.key, $0.value) }),
      to: folder.file("second"))
    #expect(try readBytes(folder.file("first")) == readBytes(folder.file("second")))
    #expect(try SafetensorsFile(path: folder.file("first")).metadata == metadata)
  }

  @Test func bytesMayComeInPieces() throws {
    let path = folder.file("pieces.safetensors")
    let writer = try SafetensorsWriter(path: path, tensors: [("b", .f32, [3, 2]), ("a", .u8, [2]), ("c", .f32, [])])
    try writer.append([1, 2, 3])
    try writer.append([4, 5, 6])
    let bytes: [UInt8] = [7, 8]
    try bytes.withUnsafeBytes { try writer.append($0) }
    try writer.append([9])
    #expect(try !folder.contents.contains("pieces.safetensors"), "nothing at the path before the end")
    try writer.finish()
    let file = try SafetensorsFile(path: path)
    #expect(file.tensorOrder == ["b", "a", "c"])
    #expect(referenceFloats(try #require(file.tensors["b"])) == [1, 2, 3, 4, 5, 6])
    #expect(integers(try #require(file.tensors["a"])) == [7, 8])
    #expect(referenceFloats(try #require(file.tensors["c"])) == [9])
    #expect(try folder.contents == ["pieces.safetensors"])
  }

  @Test func anUnfinishedFileLeavesWhatWasThere() throws {
    let path = try folder.write([1, 2, 3], to: "kept.safetensors")
    do {
      let writer = try SafetensorsWriter(path: path, tensors: [("x", .f32, [2])])
      try writer.append([1])
      let error = #expect(throws: FormatError.self) { try writer.finish() }
      #expect(error?.description.contains("expected 8 bytes of tensor data, as declared, found 4") == true)
    }
    #expect(try readBytes(path) == [1, 2, 3])
    #expect(try folder.contents == ["kept.safetensors"])
  }

  @Test func moreBytesThanDeclaredAreRefused() throws {
    let writer = try SafetensorsWriter(path: folder.file("x"), tensors: [("x", .f32, [2])])
    try writer.append([1])
    let error = #expect(throws: FormatError.self) { try writer.append([2, 3]) }
    #expect(error?.description.contains("expected 8 bytes of tensor data, as declared, found at least 12") == true)
  }

  @Test func whatSafetensorsCannotHoldIsRefused() throws {
    func message(_ tensors: [SafetensorsWriter.Declaration]) -> String {
      do throws(FormatError) {
        _ = try SafetensorsWriter(path: folder.file("x"), tensors: tensors)
        return "no error"
      } catch { return error.description }
    }
    #expect(message([("x", .q8_0, [32])]).contains("tensor 'x': dtype Q8_0 in safetensors is not supported"))
    #expect(message([("x", .f32, [1]), ("x", .f32, [1])]).contains("found a name that is taken"))
    #expect(message([("__metadata__", .f32, [1])]).contains("found a name that is taken"))
    #expect(message([("x", .f32, [-1])]).contains("found shape [-1]"))
    #expect(message([("x", .u8, [.max]), ("y", .u8, [1])]).contains("tensor 'y': expected fewer than 2^63 bytes"))
    #expect(try folder.contents == [])
  }

  @Test func aFolderThatIsNotThereIsAnError() throws {
    let path = folder.file("absent/x.safetensors")
    let tensor = try Tensor([1], shape: [1])
    let error = #expect(throws: FormatError.self) { try SafetensorsWriter.write(["x": tensor], to: path) }
    #expect(error == .cannotWrite(path: path, reason: "No such file or directory"))
  }

  @Test func aPathThatIsAFolderIsAnErrorAndNothingStays() throws {
    try folder.write([1], to: "taken/file")
    let tensor = try Tensor([1], shape: [1])
    let error = #expect(throws: FormatError.self) { try SafetensorsWriter.write(["x": tensor], to: folder.file("taken")) }
    #expect(error?.description.contains("cannot write") == true)
    #expect(try folder.contents == ["taken"])
  }
}
