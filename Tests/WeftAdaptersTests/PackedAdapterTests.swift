// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

/// Which adapter of a pack is read, and which packs are refused.
struct PackedAdapterTests {
  private static let golden = TestPaths.goldens + "/adapters/"
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func library(_ names: [String], base: String? = nil, key: PackPrivateKey? = nil) throws -> String {
    let path = folder.file("library.weft")
    let writer = try PackWriter(path: path, provenance: PackProvenance(base: base))
    var packing = AdapterPacking(writer)
    for name in names { try packing.add(Self.golden + name) }
    #expect(packing.members.map(\.name) == names)
    try writer.finish(signedBy: key)
    return path
  }

  @Test func aMemberIsFoundByTheNameOfTheAdapter() throws {
    let path = try library(["plain", "rslora", "patterns"])
    for name in ["plain", "rslora", "patterns"] {
      #expect(
        try AdapterOutline(path: path, name: name).config?["r"]?.int
          == JSON(file: Self.golden + name + "/adapter_config.json")["r"]?.int)
      #expect(
        try AdapterOutline(path: path, name: name).tensors.map(\.name)
          == AdapterOutline(path: Self.golden + name).tensors.map(\.name))
    }
    let error = #expect(throws: AdapterError.self) { try AdapterOutline(path: path, name: "other") }
    #expect(error?.description.hasSuffix("found a pack of several: plain, rslora, patterns") == true)
    // A single one needs no name.
    _ = try AdapterOutline(path: try library(["plain"]), name: "other")
  }

  @Test func packsGoIntoLibraries() throws {
    let writer = try PackWriter(path: folder.file("all.weft"), provenance: PackProvenance())
    var packing = AdapterPacking(writer)
    try packing.add(try library(["plain"], base: "base-1"), name: "first")
    try packing.add(try library(["plain", "wide"]))
    #expect(packing.members.map(\.name) == ["first", "plain", "wide"])
    #expect(throws: AdapterError.self) { try packing.add(try library(["f16", "bf16"]), name: "one") }
    #expect(throws: AdapterError.self) { try packing.add(try library(["f16"], base: "base-2")) }
    #expect(throws: AdapterError.self) { try packing.add(Self.golden + "wide", name: "a/b") }
    #expect(throws: AdapterError.self) { try packing.add(Self.golden + "wide") }
    try writer.finish()
    let pack = try PackFile(path: folder.file("all.weft"))
    #expect(pack.provenance.base == "base-1" && pack.provenance.sources == ["plain", "plain", "wide"])
    // The two of the same adapter share its tensors.
    #expect(pack.members[0].tensors.map(\.tensor) == pack.members[1].tensors.map(\.tensor))
  }

  @Test func aPackForAnotherBaseIsRefused() throws {
    var fixture = FormFixture(.single)
    try fixture.set("model.layers.0.self_attn.q_proj.lora_A", [2, 32])
    try fixture.set("model.layers.0.self_attn.q_proj.lora_B", [32, 2])
    let source = try fixture.write(to: folder)
    for (made, opened) in [(nil, "mine"), ("mine", nil), ("mine", "mine"), ("other", "mine")] as [(String?, String?)] {
      let writer = try PackWriter(path: folder.file("one.weft"), provenance: PackProvenance(base: made))
      var packing = AdapterPacking(writer)
      try packing.add(source, name: "one")
      try writer.finish()
      let base = BaseModel(shape: FormFixture.base, fingerprint: opened)
      var message = ""
      do throws(AdapterError) {
        _ = try AdapterReader.read(
          folder: folder.file("one.weft"), name: "one", base: base, options: AdapterOptions(alpha: 2))
      } catch { message = error.description }
      let expected = "\(folder.file("one.weft")): expected a pack for this base, mine, found one for other"
      #expect(message == (made == "other" ? expected : ""))
    }
  }

  /// A policy that asks for signatures accepts no file that nobody can sign.
  @Test func onlySignedPacksAreReadWhenAsked() throws {
    let pem = """
      -----BEGIN PRIVATE KEY-----
      MC4CAQAwBQYDK2VwBCIEIKFeMHpwf7SqOGe1kpK7PnhTZdjUjnOif2vZg3n9drQj
      -----END PRIVATE KEY-----
      """
    let key = try PackPrivateKey(pem: folder.write(pem.utf8, to: "private.pem"))
    let policy = PackPolicy(requiredSigners: [try key.publicKey()])
    let path = try library(["plain"], key: key)
    _ = try AdapterOutline(path: path, policy: policy)
    var error = #expect(throws: AdapterError.self) { try AdapterOutline(path: Self.golden + "plain", policy: policy) }
    #expect(error?.description.hasSuffix("found an adapter that is no pack") == true)
    error = #expect(throws: AdapterError.self) { try AdapterOutline(path: try library(["plain"]), policy: policy) }
    #expect(error?.description.hasSuffix("found one without a signature") == true)
  }

  /// A library is opened once for all its members, and again when its file is another one.
  @Test func anOpenedPackIsKeptUntilItsFileChanges() throws {
    let policy = {
      var policy = PackPolicy(); policy.opened = OpenedPack(); return policy
    }()
    let path = try library(["plain", "wide"])
    let first = try policy.open(path)
    #expect(try policy.open(path) === first)
    _ = try AdapterOutline(path: path, name: "wide", policy: policy)
    _ = try library(["plain", "rslora"])
    let second = try policy.open(path)
    #expect(second !== first && second.members.map(\.name) == ["plain", "rslora"])
    #expect(try policy.open(path) === second)
    #expect(try PackPolicy().open(path) !== second)
  }

  /// A ternary adapter: LoRA whose factors have codes and scales.
  @Test func ternaryTensorsAreExpandedWhenTheyAreTakenOut() throws {
    let storage = try Storage(byteCount: 3)
    for (place, byte) in [UInt8(0b0100_1101), 0, 0b0000_0011].enumerated() { storage.bytes[place] = byte }
    let ternary = try #require(Tensor(dtype: .ternary, shape: [3, 4], storage: storage, offset: 0, scale: 0.3))
    let writer = try PackWriter(path: folder.file("ternary.weft"), provenance: PackProvenance())
    let number = try writer.add(ternary)
    try writer.addMember("one", config: "{}", tensors: [.init("x", number)])
    try writer.addMember("two", config: "{}", tensors: [.init("y", number)])
    try writer.finish()
    let pack = try PackFile(path: folder.file("ternary.weft"))
    let written = try AdapterExtraction.extract(pack, to: folder.file("out/deep"), as: .f16, name: "one")
    #expect(written == [folder.file("out/deep")])
    let x = try #require(SafetensorsFile(path: folder.file("out/deep/adapter_model.safetensors")).tensors["x"])
    #expect(x.dtype == .f16 && x.floats() == [0.3, -0.3, 0, 0.3, 0, 0, 0, 0, -0.3, 0, 0, 0].map { Float(Float16($0)) })
    #expect(try AdapterExtraction.extract(pack, to: folder.file("all"), as: .f32).count == 2)
    let y = try #require(SafetensorsFile(path: folder.file("all/two/adapter_model.safetensors")).tensors["y"])
    #expect(y.dtype == .f32 && y.floats() == ternary.floats())
    #expect(throws: AdapterError.self) { try AdapterExtraction.extract(pack, to: folder.file("no"), as: .f32, name: "three") }
  }

  /// Names in a pack are somebody's: they never lead out of the folder.
  @Test(arguments: ["..", ".", "../x", "a/../../x", "/x", "a//x", "", "a b"]) func namesThatLeadElsewhereAreRefused(
    name: String
  ) throws {
    let writer = try PackWriter(path: folder.file("bad.weft"), provenance: PackProvenance())
    let number = try writer.add(try Tensor([1], shape: [1]))
    try writer.addMember(name, config: "{}", tensors: [.init("x", number)])
    try writer.addMember("form", form: .folder(tensors: "../x.safetensors"), config: "{}", tensors: [.init("x", number)])
    try writer.addMember("good", config: "{}", tensors: [.init("x", number)])
    try writer.finish()
    let pack = try PackFile(path: folder.file("bad.weft"))
    #expect(throws: AdapterError.self) { try AdapterExtraction.extract(pack, to: folder.file("out"), as: .f32) }
    #expect(throws: AdapterError.self) { try AdapterExtraction.extract(pack, to: folder.file("out"), as: .f32, name: "form") }
    #expect(try folder.contents == ["bad.weft"])
    _ = try AdapterExtraction.extract(pack, to: folder.file("out"), as: .f32, name: "good")
  }
}
