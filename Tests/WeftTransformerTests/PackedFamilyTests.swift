// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors
import WeftTransformer

/// Every family from a pack: the same logits, bit for bit, as from its own files, and the same files again when it is taken out.
struct PackedFamilyTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// A pack with what is at `path`, bound to a base.
  private func pack(_ path: String, base: BaseModel) throws -> String {
    let writer = try PackWriter(path: folder.file("one.weft"), provenance: PackProvenance(base: base.fingerprint))
    var packing = AdapterPacking(writer)
    try packing.add(path)
    try writer.finish()
    return folder.file("one.weft")
  }

  @Test(arguments: FamilyGoldenTests.readable) func aFamilyIsTheSameFromAPack(family: FamilyCase) throws {
    let tokens = try family.golden().integers("tokens").map(Int32.init)
    let runner = try ModelRunner(family.basePath, layers: family.layers)
    let packed = family.moved(to: try pack(family.folder, base: runner.weights.base))
    #expect(sameBits(try runner.logits(tokens, packed), try runner.logits(tokens, family)))
    try expectSameFiles(packed.folder, family.folder)
  }

  @Test(arguments: AdapterFormTests.cases) func aFormIsTheSameFromAPack(one: AdapterFormTests.Case) throws {
    let runner = try ModelRunner(one.basePath)
    let tokens = try one.golden().integers("tokens").map(Int32.init)
    let path = try pack(one.path, base: runner.weights.base)
    let logits = try [one.path, path].map { path in
      let adapter = try AdapterReader.read(folder: path, name: "test", base: runner.weights.base, options: one.options)
      let resident = try ResidentAdapter(adapter.deltas, groups: runner.weights.inputGroups, pool: runner.pool)
      try runner.transformer.reserve(for: resident)
      return runner.logits(tokens, mixture: ActiveMixture([(resident, .test(1))]))
    }
    #expect(sameBits(logits[0], logits[1]))
    try expectSameFiles(path, one.path)
  }

  /// The files that come out of a pack have the configuration and the tensors of those that went in.
  private func expectSameFiles(_ pack: String, _ source: String) throws {
    let written = try AdapterExtraction.extract(try PackFile(path: pack), to: folder.file("out"), as: .f32)
    for path in written {
      if path.hasSuffix(".gguf") {
        let (found, expected) = (try GGUFFile(path: path), try GGUFFile(path: source))
        #expect(found.metadata == expected.metadata)
        expectSameTensors(found.tensors, expected.tensors)
      } else if path.hasSuffix(".safetensors") {
        let (found, expected) = (try SafetensorsFile(path: path), try SafetensorsFile(path: source))
        #expect(found.metadata == expected.metadata)
        expectSameTensors(found.tensors, expected.tensors)
      } else {
        let nested = String(path.dropFirst(folder.file("out").count))
        // Experts lie in the folder of their gate, or beside it.
        let inside = source + nested
        let original =
          FileManager.default.fileExists(atPath: inside) ? inside : source + "/.." + nested
        #expect(try readBytes(path + "/adapter_config.json") == readBytes(original + "/adapter_config.json"))
        for name in try FileManager.default.contentsOfDirectory(atPath: path) where name.hasSuffix(".safetensors") {
          let (found, expected) = (
            try SafetensorsFile(path: path + "/" + name), try SafetensorsFile(path: original + "/" + name)
          )
          #expect(found.metadata == expected.metadata)
          expectSameTensors(found.tensors, expected.tensors)
        }
      }
    }
  }

  private func expectSameTensors(_ found: [String: Tensor], _ expected: [String: Tensor]) {
    #expect(found.keys.sorted() == expected.keys.sorted())
    for (name, tensor) in found {
      guard let other = expected[name] else { continue }
      let same =
        tensor.dtype == other.dtype && tensor.shape == other.shape
        && memcmp(tensor.base, other.base, tensor.byteCount) == 0
      #expect(same, "\(name)")
    }
  }
}
