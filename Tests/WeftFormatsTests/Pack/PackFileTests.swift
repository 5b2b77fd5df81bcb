// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

struct PackFileTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let provenance = PackProvenance(
    base: "qwen2-2x64-259-1f", baseName: "someone/base", sources: ["a.safetensors", "b.safetensors"], method: "ternary",
    parameters: [.init("density", "0.2"), .init("alpha", "auto")], licence: "Apache-2.0", text: "two\nlines")

  /// Two members with a tensor each of their own and one together; all kinds of codings.
  private func small(_ name: String = "small.weft", key: PackPrivateKey? = nil) throws -> String {
    let path = folder.file(name)
    let writer = try PackWriter(path: path, provenance: PackFileTests.provenance)
    var generator = SeededGenerator(seed: 1)
    let shared = try writer.add(try ternary(randomTernary(800, density: 0.2, using: &generator), shape: [8, 100]))
    let first = try writer.add(try ternary(randomTernary(400, density: 0.5, using: &generator), shape: [400], scale: -3))
    let second = try writer.add(try Tensor(rounding: generator.floats(64), shape: [8, 8], to: .f16))
    let numbers = try writer.add(try tensor(.i64, [20], [UInt8](repeating: 0, count: 160)))
    let signs = try writer.add(try ternary(randomTernary(80, density: 1, using: &generator), shape: [80]))
    try writer.addMember(
      "one", config: #"{"r": 8}"#, tensors: [.init("shared", shared), .init("own", first), .init("signs", signs)])
    try writer.addMember(
      "two", form: .gguf, config: "",
      metadata: [("adapter.lora.alpha", .float32(16)), ("general.type", .string("adapter"))],
      tensors: [.init("shared", shared), .init("own", second), .init("numbers", numbers)])
    try writer.finish(signedBy: key)
    return path
  }

  @Test func everythingReturns() throws {
    let file = try PackFile(path: small())
    try file.verify()
    #expect(file.provenance == PackFileTests.provenance)
    #expect(file.signature == nil)
    #expect(file.members.map(\.name) == ["one", "two"])
    let (one, two) = (try #require(file.member("one")), try #require(file.member("two")))
    #expect(file.member("three") == nil)
    #expect(one.form == .peft && one.config == #"{"r": 8}"# && one.metadata.isEmpty)
    #expect(two.form == .gguf && two.config.isEmpty)
    #expect(two.values["adapter.lora.alpha"]?.double == 16 && two.values["general.type"]?.string == "adapter")
    #expect(two.metadata.map(\.key) == ["adapter.lora.alpha", "general.type"])
    #expect(one.tensors.map(\.name) == ["shared", "own", "signs"])
    #expect(one.tensors[0].tensor == two.tensors[0].tensor)
    #expect(try file.tensor(one.tensors[1].tensor).scale == -3)
    #expect(try readBytes(small("again.weft")) == readBytes(folder.file("small.weft")), "the same calls give the same bytes")
    #expect(try folder.contents == ["again.weft", "small.weft"])
  }

  @Test func equalTensorsAreStoredOnce() throws {
    let writer = try PackWriter(path: folder.file("equal.weft"), provenance: PackProvenance())
    let first = try writer.add(try Tensor([1, 2, 3, 4], shape: [4]))
    #expect(try writer.add(try Tensor([1, 2, 3, 4], shape: [4])) == first)
    #expect(try writer.add(try Tensor([1, 2, 3, 4], shape: [2, 2])) != first)
    #expect(
      try writer.add(try ternary([1, 0, 0, 1], shape: [4], scale: 1))
        != writer.add(ternary([1, 0, 0, 1], shape: [4], scale: 2)))
  }

  /// The promise of the format: no byte can change without an error, at opening or at reading.
  @Test(arguments: [false, true]) func everyFlippedByteIsFound(isSigned: Bool) throws {
    let key = try PackPrivateKey(pem: folder.write(Array(PackSignatureTests.privateKey.utf8), to: "key.pem"))
    let bytes = try readBytes(small(key: isSigned ? key : nil))
    try HandmadePack.read(bytes)
    #expect(bytes.count < 3000)
    for position in bytes.indices {
      for change in [UInt8(1), 0x80, 0xFF] {
        var changed = bytes
        changed[position] ^= change
        #expect(throws: FormatError.self, "byte \(position)") { try HandmadePack.read(changed) }
      }
    }
  }

  /// A tensor is protected by its own chunk: reading the others does not look at it.
  @Test func openingDoesNotReadChunks() throws {
    var bytes = try readBytes(small())
    bytes[130] ^= 1
    let file = try PackFile(path: folder.write(bytes, to: "changed.weft"))
    #expect(file.members.count == 2)
    let error = #expect(throws: FormatError.self) { try file.tensor(0) }
    #expect(error?.description.contains("bytes 128 to") == true)
  }

  @Test func everyTruncationAndExtensionIsFound() throws {
    let key = try PackPrivateKey(pem: folder.write(Array(PackSignatureTests.privateKey.utf8), to: "key.pem"))
    let bytes = try readBytes(small(key: key))
    for length in bytes.indices where length != bytes.count - 112 {
      #expect(throws: FormatError.self, "\(length) bytes") { try HandmadePack.read(Array(bytes[..<length])) }
    }
    // Without its signature a pack is whole: only a policy can ask for one.
    try HandmadePack.read(Array(bytes[..<(bytes.count - 112)]))
    #expect(throws: FormatError.self) { try HandmadePack.read(bytes + [0]) }
    #expect(throws: FormatError.self) { try HandmadePack.read(bytes + bytes.suffix(112)) }
  }

  @Test func anInterruptedWriterLeavesNothing() throws {
    do {
      let writer = try PackWriter(path: folder.file("never.weft"), provenance: PackProvenance())
      _ = try writer.add(try Tensor([1], shape: [1]))
    }
    #expect(try folder.contents.isEmpty)
  }

  @Test func namesAreTakenOnce() throws {
    let writer = try PackWriter(path: folder.file("names.weft"), provenance: PackProvenance())
    let number = try writer.add(try Tensor([1], shape: [1]))
    try writer.addMember("one", config: "", tensors: [.init("x", number)])
    #expect(throws: FormatError.self) { try writer.addMember("one", config: "", tensors: []) }
    #expect(throws: FormatError.self) {
      try writer.addMember("two", config: "", tensors: [.init("x", number), .init("x", number)])
    }
    #expect(throws: FormatError.self) { _ = try writer.add(try tensor(.ternary, [4], [0b10])) }
  }

  @Test func packsBeyondTheLimitAreRefused() throws {
    let bytes = try readBytes(small())
    let error = #expect(throws: FormatError.self) {
      try HandmadePack.read(bytes, policy: PackPolicy(maximumBytes: bytes.count - 1))
    }
    guard case .unsupported = error else {
      Issue.record("expected a limit, found \(String(describing: error))")
      return
    }
    // The limit counts decoded bytes as well.
    var pack = HandmadePack()
    pack.tensors = [.init(coding: 1, shape: [1 << 12], bytes: HandmadePack.frame([UInt8](repeating: 0, count: 1 << 14)))]
    #expect(try pack.open()[0].byteCount == 1 << 14)
    pack.tensors = [.init(coding: 1, shape: [1 << 18], bytes: [UInt8](repeating: 0, count: 4096))]
    #expect(throws: FormatError.self) { try pack.open(policy: PackPolicy(maximumBytes: (1 << 20) - 1)) }
  }
}
