// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

struct GGUFWriterTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Written by the gguf package: every pair and tensor, taken out and written again, is the same file.
  @Test(arguments: ["formats/tiny.gguf", "architectures/gpt2-tied/model.gguf", "architectures/phi4mini-long/model.gguf"])
  func rewritingAForeignFileGivesTheSameBytes(place: String) throws {
    let name = "copy.gguf"
    let source = try GGUFFile(path: TestPaths.goldens + "/" + place)
    let metadata = try source.metadataOrder.map { key in (key, try #require(source.field(key))) }
    let tensors = try source.tensorOrder.map { name in (name, try #require(source.tensors[name])) }
    let writer = try GGUFWriter(
      path: folder.file(name), metadata: metadata, tensors: tensors.map { ($0.0, $0.1.dtype, $0.1.shape) })
    for (_, tensor) in tensors { try writer.append(UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount)) }
    try writer.finish()
    #expect(try readBytes(folder.file(name)) == readBytes(source.path))
    #expect(try folder.contents == [name])
  }

  @Test func everyKindOfValueIsReadBack() throws {
    let fields: [(String, GGUFField, GGUFValue)] = [
      ("uint8", .uint8(250), .unsigned(250)), ("int8", .int8(-100), .signed(-100)),
      ("uint16", .uint16(65000), .unsigned(65000)),
      ("int16", .int16(-30000), .signed(-30000)), ("uint32", .uint32(.max), .unsigned(4_294_967_295)),
      ("int32", .int32(.min), .signed(-2_147_483_648)), ("uint64", .uint64(.max), .unsigned(.max)),
      ("int64", .int64(.min), .signed(.min)), ("float32", .float32(0.1), .float(Double(Float(0.1)))),
      ("float64", .float64(0.1), .float(0.1)), ("bool", .bool(true), .bool(true)),
      ("string", .string("Ünï\u{0}cöde"), .string("Ünï\u{0}cöde")),
      ("strings", .strings(["a", "", "bc"]), .strings(["a", "", "bc"])),
      ("int32s", .int32s([-1, 2]), .integers([-1, 2])), ("uint32s", .uint32s([.max]), .integers([4_294_967_295])),
      ("float32s", .float32s([1.5, -2]), .floats([1.5, -2])), ("bools", .bools([true, false]), .bools([true, false])),
    ]
    let path = folder.file("kinds.gguf")
    try GGUFWriter(path: path, metadata: fields.map { ($0.0, $0.1) }, tensors: []).finish()
    let file = try GGUFFile(path: path)
    #expect(file.metadataOrder == fields.map(\.0))
    for (key, field, value) in fields {
      #expect(file.metadata[key] == value, "\(key)")
      #expect(file.field(key) == field, "\(key)")
    }
  }

  @Test(arguments: [8, 32, 256])
  func tensorsAreAlignedAndMayComeInPieces(alignment: UInt32) throws {
    let path = folder.file("pieces.gguf")
    let writer = try GGUFWriter(
      path: path, metadata: [("general.alignment", .uint32(alignment))],
      tensors: [("a", .f32, [3]), ("none", .f32, [0]), ("b", .q8_0, [2, 32]), ("c", .f32, [1, 1, 2])])
    try writer.append([1, 2])
    try writer.append([3])
    let block = [UInt8](1...68)
    try block.withUnsafeBytes { try writer.append($0) }
    try writer.append([7, 8])
    #expect(try !folder.contents.contains("pieces.gguf"), "nothing at the path before the end")
    try writer.finish()
    let file = try GGUFFile(path: path)
    #expect(file.tensorOrder == ["a", "none", "b", "c"])
    #expect(file.tensors.values.allSatisfy { $0.offset % Int(alignment) == 0 })
    #expect(referenceFloats(try #require(file.tensors["a"])) == [1, 2, 3])
    #expect(referenceFloats(try #require(file.tensors["c"])) == [7, 8])
    let b = try #require(file.tensors["b"])
    #expect(b.shape == [2, 32] && Array(UnsafeRawBufferPointer(start: b.base, count: b.byteCount)) == block)
    #expect(try folder.contents == ["pieces.gguf"])
  }

  @Test func anUnfinishedFileLeavesWhatWasThere() throws {
    let path = try folder.write([1, 2, 3], to: "kept.gguf")
    do {
      let writer = try GGUFWriter(path: path, metadata: [], tensors: [("x", .f32, [2])])
      try writer.append([1])
      let error = #expect(throws: FormatError.self) { try writer.finish() }
      #expect(error?.description.contains("tensor 'x': expected 8 bytes, as declared, found 4") == true)
    }
    #expect(try readBytes(path) == [1, 2, 3])
    #expect(try folder.contents == ["kept.gguf"])
  }

  @Test func wrongDeclarationsAreRefused() throws {
    func message(_ tensors: [GGUFWriter.Declaration], _ metadata: [GGUFWriter.Pair] = []) throws -> String {
      let error = #expect(throws: FormatError.self) {
        _ = try GGUFWriter(path: folder.file("x.gguf"), metadata: metadata, tensors: tensors)
      }
      #expect(try folder.contents.isEmpty)
      return error?.description ?? ""
    }
    #expect(try message([("a", .f32, [1]), ("a", .f32, [1])]).contains("expected a name of its own"))
    #expect(try message([("a", .q4_k, [2, 32])]).contains("rows of whole Q4_K blocks"))
    #expect(try message([("a", .u8, [1])]).contains("dtype U8"))
    #expect(try message([("a", .f32, [1, 1, 1, 1, 1])]).contains("5 axes"))
    #expect(try message([(String(repeating: "n", count: 64), .f32, [1])]).contains("a name of 64 bytes"))
    #expect(try message([("a", .f32, [Int.max, 2])]).contains("below 2^62 bytes"))
    #expect(try message([], [("k", .bool(true)), ("k", .bool(true))]).contains("'k' again"))
    #expect(try message([], [("general.alignment", .uint32(24))]).contains("general.alignment"))
  }

  @Test func tooManyBytesAreRefused() throws {
    let writer = try GGUFWriter(path: folder.file("x.gguf"), metadata: [], tensors: [("x", .f32, [1])])
    #expect(throws: FormatError.self) { try writer.append([1, 2]) }
    try writer.append([1])
    #expect(throws: FormatError.self) { try writer.append([2]) }
  }

  @Test func onlyRegularFilesAreReplaced() throws {
    let error = #expect(throws: FormatError.self) { _ = try GGUFWriter(path: folder.path, metadata: [], tensors: []) }
    #expect(error?.description.contains("expected a regular file or nothing there") == true)
    #expect(throws: FormatError.self) { _ = try GGUFWriter(path: "/dev/null", metadata: [], tensors: []) }
    #expect(throws: FormatError.self) { _ = try GGUFWriter(path: folder.file("no/x.gguf"), metadata: [], tensors: []) }
  }
}
