// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

@Suite struct AdapterReaderTests {
  /// The spellings under which one and the same tensor is published.
  @Test(arguments: [
    "base_model.model.model.layers.1.self_attn.q_proj.lora_", "base_model.model.layers.1.self_attn.q_proj.lora_",
    "model.layers.1.self_attn.q_proj.lora_", "layers.1.self_attn.q_proj.lora_",
  ])
  func spellings(prefix: String) throws {
    for suffix in [".weight", ".default.weight"] {
      var fixture = try AdapterFixture()
      for factor in ["A", "B"] {
        fixture.rename(AdapterFixture.name(1, "self_attn.q_proj", factor), prefix + factor + suffix)
      }
      #expect(try fixture.read().deltas.sites == [.layer(0, .query), .layer(1, .query)])
    }
  }

  @Test func withoutTargetModulesTheTensorsDecide() throws {
    for value in [nil, "null", "[]"] {
      var fixture = try AdapterFixture()
      fixture.config["target_modules"] = value
      fixture.tensors[AdapterFixture.name(0, "self_attn.q_proj", "A")] = nil
      fixture.tensors[AdapterFixture.name(0, "self_attn.q_proj", "B")] = nil
      try fixture.add("down_proj", at: "base_model.model.model.layers.0.mlp", rank: 2, out: 4, in: 5)
      #expect(try fixture.read().deltas.sites == [.layer(0, .down), .layer(1, .query)])
    }
  }

  @Test func allLinearIsEveryProjection() throws {
    var fixture = try AdapterFixture()
    fixture.config["target_modules"] = "\"all-linear\""
    let missing = AdapterFixture.name(0, "self_attn.k_proj", "A")
    #expect(try fixture.error() == "FOLDER/adapter_model.safetensors: tensor '\(missing)' is missing")
    for site in AdapterFixture.base.sites where site != .outputHead {
      let shape = try #require(AdapterFixture.base.shape(of: site))
      let path = AdapterFixture.base.modulePath(site).split(separator: ".")
      try fixture.add(
        String(path[4]), at: "base_model.model." + path[..<4].joined(separator: "."), rank: 2, out: shape.out, in: shape.in)
    }
    #expect(try fixture.read().deltas.sites.count == 14)
  }

  /// The adapter owns its numbers: the file can be replaced while it serves.
  @Test func theFileMayVanish() throws {
    let folder = try TemporaryFolder()
    try AdapterFixture().write(to: folder)
    let adapter = try AdapterReader.read(folder: folder.path, name: "tiny", base: BaseModel(shape: AdapterFixture.base))
    let length = try readBytes(folder.file("adapter_model.safetensors")).count
    try folder.write([UInt8](repeating: 0xFF, count: length), to: "adapter_model.safetensors")
    #expect(adapter.deltas.operators[.layer(0, .query)]?.first?.materialize() == [Float](repeating: 4, count: 24))
  }

  @Test(arguments: ["", "base", "a b", "a:b", "a,b", "a=b", "../a", "ä", "a\n"]) func names(name: String) throws {
    #expect(throws: AdapterError.invalidName(name)) { try AdapterFixture().read(name: name) }
  }

  @Test func goodNames() throws {
    for name in ["chef", "Chef-7.b_v2", "0", "base2"] { #expect(try AdapterFixture().read(name: name).name == name) }
  }

  @Test func missingFiles() throws {
    let folder = try TemporaryFolder()
    func expect(_ error: AdapterError) {
      #expect(throws: error) {
        try AdapterReader.read(folder: folder.path, name: "a", base: BaseModel(shape: AdapterFixture.base))
      }
    }
    expect(.noAdapter(location: folder.path, found: "an empty folder"))
    var fixture = try AdapterFixture()
    fixture.otherFile = "README.md"
    try fixture.write(to: folder)
    expect(.missingFile(location: folder.path, name: "adapter_model.safetensors"))
    fixture.otherFile = "adapter_model.bin"
    try fixture.write(to: folder)
    expect(.pickle(location: folder.path, name: "adapter_model.bin"))
    #expect(
      try fixture.error()
        == "FOLDER: expected safetensors, found only adapter_model.bin, a pickle file, which can run code when it is read; "
        + "to convert it: python tools/convert_adapter.py FOLDER NEW_FOLDER")
    let absent = folder.file("absent")
    #expect(throws: AdapterError.noAdapter(location: absent, found: "nothing at this path")) {
      try AdapterReader.read(folder: absent, name: "a", base: BaseModel(shape: AdapterFixture.base))
    }
  }

  @Test(arguments: [
    ("", "cannot open FOLDER/adapter_config.json: the file is empty"),
    ("[]", "FOLDER/adapter_config.json: the config: expected an object, found an array"),
    ("{\"r\": 1, \"r\": 2}", "FOLDER/adapter_config.json: the config: expected every key once, found 'r' again"),
  ])
  func brokenConfigs(text: String, error: String) throws {
    let folder = try TemporaryFolder()
    try AdapterFixture().write(to: folder)
    try folder.write(text.utf8, to: "adapter_config.json")
    #expect(Self.error(of: folder) == error)
  }

  @Test func truncatedFiles() throws {
    let folder = try TemporaryFolder()
    try AdapterFixture().write(to: folder)
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
      let bytes = try readBytes(folder.file(name))
      for length in 0..<bytes.count {
        try folder.write(bytes[..<length], to: name)
        // Which error depends on the place; the parsers' own tests tell. Here: no prefix of a file is an adapter.
        let error = try #require(Self.error(of: folder), "\(name), \(length) of \(bytes.count) bytes")
        #expect(error.contains("FOLDER/\(name)"))
      }
      try folder.write(bytes, to: name)
    }
    #expect(Self.error(of: folder) == nil)
  }

  static func error(of folder: TemporaryFolder) -> String? {
    do throws(AdapterError) {
      _ = try AdapterReader.read(folder: folder.path, name: "tiny", base: BaseModel(shape: AdapterFixture.base))
      return nil
    } catch { return error.description.replacing(folder.path, with: "FOLDER") }
  }

  @Test func theRegistry() {
    #expect(Set(AdapterFamily.all.map(\.name)).count == AdapterFamily.all.count)
    for family in AdapterFamily.all {
      #expect(family.source.hasPrefix("https://"))
      #expect(family.peftType == family.peftType?.uppercased())
    }
  }
}

/// What the README says about families.
@Suite struct FamilyTableTests {
  /// Every row of the registry is a row of the README's table, and there are no others.
  @Test func readmeListsTheRegistry() throws {
    let readme = try String(contentsOfFile: TestPaths.goldens + "/../../README.md", encoding: .utf8)
    let table = try #require(readme.split(separator: "| family | file form |").last?.split(separator: "\n\n").first)
    let names = table.split(separator: "\n").dropFirst(2).compactMap { row in
      row.split(separator: "|").first.map { $0.trimmingCharacters(in: .whitespaces) }
    }
    #expect(Set(names) == Set(AdapterFamily.all.map(\.name)))
    #expect(names.count == AdapterFamily.all.count)
  }
}
