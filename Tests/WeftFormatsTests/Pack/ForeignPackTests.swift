// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// Packs across programs: Weft reads what Python wrote (tools/make_pack_goldens.py), and Python reads what Weft writes
/// (tools/read_pack.py). The two share no code.
struct ForeignPackTests {
  private static let golden = TestPaths.goldens + "/packs/foreign"

  @Test func whatPythonWroteIsRead() throws {
    let pack = try PackFile(path: Self.golden + ".weft")
    try pack.verify()
    try expect(pack, isAs: try JSON(file: Self.golden + ".json"))
    #expect(pack.signature?.publicKey.description == "fbe9db95008e0874d71467d31936a164ec76d7adf3ab875f5bd73ebd33223c1a")
    #expect(Set(pack.tensors.map(\.coding)) == Set(PackCoding.allCases))
  }

  @Test func whatWeftWritesPythonReads() throws {
    let folder = try TemporaryFolder()
    let path = folder.file("weft.weft")
    let writer = try PackWriter(
      path: path,
      provenance: PackProvenance(
        base: "base", sources: ["x", "ü"], method: "test", parameters: [.init("k", "v")], text: "text"))
    var generator = SeededGenerator(seed: 21)
    var references: [PackMember.Reference] = []
    for density in [0.01, 0.2, 0.382, 0.5, 0.8, 1] {
      let elements = randomTernary(4096, density: density, using: &generator)
      references.append(.init("ternary \(density)", try writer.add(try ternary(elements, shape: [8, 512], scale: 0.125))))
    }
    let large = generator.floats(20_000)
    for dtype in [DType.f32, .f16, .bf16] {
      references.append(.init(dtype.name, try writer.add(try Tensor(rounding: large, shape: [100, 200], to: dtype))))
    }
    references.append(.init("zeros", try writer.add(try Tensor([Float](repeating: 0, count: 1 << 16), shape: [1 << 16]))))
    references.append(.init("bytes", try writer.add(try tensor(.u8, [3], [1, 2, 3]))))
    references.append(.init("q8_0", try writer.add(try tensor(.q8_0, [2, 32], [UInt8](0..<68)))))
    try writer.addMember("one", config: #"{"r": 8}"#, metadata: [("format", .string("pt"))], tensors: references)
    try writer.finish()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["python3", "-B", TestPaths.package + "/tools/read_pack.py", "--json", path]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    try expect(
      try PackFile(path: path), isAs: try JSON(parsing: String(decoding: text, as: UTF8.self), location: "read_pack.py"))
  }

  private func expect(_ pack: PackFile, isAs expected: JSON) throws {
    let provenance = pack.provenance
    #expect(pack.contentHash.description == expected["content_hash"]?.string)
    #expect(provenance.base == expected["base"]?.string && provenance.baseName == expected["base_name"]?.string)
    #expect(provenance.sources == expected["sources"]?.array?.compactMap(\.string))
    #expect(provenance.method == expected["method"]?.string && provenance.text == expected["text"]?.string)
    #expect(provenance.parameters.map(\.name) == expected["parameters"]?.array?.compactMap { $0.array?.first?.string })
    #expect(provenance.licence == expected["licence"]?.string)
    let members = try #require(expected["members"]?.members)
    #expect(pack.members.map(\.name) == members.map(\.key))
    for (member, (_, content)) in zip(pack.members, members) {
      #expect(member.config == content["config"]?.string)
      #expect(member.metadata.map(\.key) == content["metadata"]?.members?.map(\.key))
      for (key, value) in content["metadata"]?.members ?? [] {
        let found = try #require(member.values[key])
        #expect(found.string == value.string && found.bool == value.bool)
        #expect(found.double == value.double && found.integers?.map { Int($0) } == value.array?.compactMap(\.int))
      }
      let tensors = try #require(content["tensors"]?.members)
      #expect(member.tensors.map(\.name) == tensors.map(\.key))
      for (reference, (name, content)) in zip(member.tensors, tensors) {
        let (entry, tensor) = (pack.tensors[reference.tensor], try pack.tensor(reference.tensor))
        #expect(entry.dtype.name == content["dtype"]?.string && Int(entry.coding.rawValue) == content["coding"]?.int, "\(name)")
        #expect(entry.shape == content["shape"]?.array?.compactMap(\.int) && tensor.shape == entry.shape, "\(name)")
        #expect(Double(tensor.scale) == content["scale"]?.double && entry.storedBytes == content["stored"]?.int, "\(name)")
        #expect(ContentHash(of: bytes(of: tensor)).description == content["bytes"]?.string, "\(name)")
      }
    }
  }
}
