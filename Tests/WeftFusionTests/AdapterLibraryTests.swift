// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftFusion
import WeftTensors

/// Libraries that are written, and read as the adapters of two families.
@Suite struct AdapterLibraryTests {
  private let folder: TemporaryFolder
  private let base = BaseModel(
    shape: .llama(
      layerCount: 1, hiddenSize: 40, queryWidth: 40, keyValueWidth: 24, intermediateSize: 64, vocabularySize: 50))
  private let sources: [AdapterLibrary.Source]

  init() throws {
    folder = try TemporaryFolder()
    var generator = SeededGenerator(seed: 3)
    let shapes = [("self_attn.q_proj", 40, 40), ("self_attn.v_proj", 40, 24), ("mlp.down_proj", 64, 40)]
    sources = ["one", "two", "three"].map { name in
      AdapterLibrary.Source(
        name: name,
        modules: shapes.map { path, width, out in
          ModuleFactors(
            path: "model.layers.0.\(path)", a: generator.floats(4 * width), b: generator.floats(out * 4), rank: 4,
            inputSize: width, outputSize: out)
        })
    }
  }

  private func write(_ library: AdapterLibrary) throws -> String {
    let path = folder.file("library.weft")
    try library.write(path: path, options: .init(baseModel: "tiny"), provenance: PackProvenance(method: "test"))
    return path
  }

  /// |B A - what was read|^2 / |B A|^2 over all modules.
  private func error(_ adapter: Adapter, _ source: AdapterLibrary.Source) throws -> Double {
    var (error, energy) = (0.0, 0.0)
    for module in source.modules {
      let site = try #require(base.shape.module(at: module.path)?.sites.first)
      let delta = try #require(adapter.deltas.operators[site]?.first)
      let found = try #require(delta.materialize())
      let expected = try LinearAlgebra.product(
        module.b, module.a, rows: module.outputSize, inner: module.rank, columns: module.inputSize)
      for (value, other) in zip(found, expected) {
        error += Double(value - other) * Double(value - other)
        energy += Double(other) * Double(other)
      }
    }
    return error / energy
  }

  @Test func aBasisOfFullRankGivesTheAdaptersBack() throws {
    let path = try write(AdapterLibrary(sharing: sources, basisRank: 12))
    let shared = SharedTensors()
    var adapters: [Adapter] = []
    for source in sources {
      let adapter = try AdapterReader.read(folder: path, name: source.name, base: base, shared: shared)
      #expect(adapter.family == "shared basis" && adapter.deltas.operatorNames == ["basis"])
      // Measured: 1.44e-7: bases and cores are in F16.
      #expect(try error(adapter, source) < 2.9e-7)
      adapters.append(adapter)
    }
    // Of what is counted, only the cores belong to an adapter: 12 x 12 in F32 for each of three modules.
    #expect(adapters[0].byteCount == 3 * 12 * 12 * 4)
    #expect(try storages(adapters[0]).intersection(storages(adapters[1])).count >= 3)
    // Without the memory of others, each has bases of its own.
    let alone = try AdapterReader.read(folder: path, name: "one", base: base)
    #expect(try storages(alone).isDisjoint(with: storages(adapters[0])))
  }

  private func storages(_ adapter: Adapter) throws -> Set<ObjectIdentifier> {
    var found: Set<ObjectIdentifier> = []
    for case .structured(let delta) in adapter.deltas.operators.values.joined() {
      found.formUnion(delta.matrix.owned.map { ObjectIdentifier($0) })
    }
    return found
  }

  @Test func smallerBasesErrAsTheyWereSaidTo() throws {
    var last = 0.0
    for rank in [10, 6, 3] {
      let library = try AdapterLibrary(sharing: sources, basisRank: rank)
      let path = try write(library)
      for (source, said) in zip(sources, library.errors) {
        let adapter = try AdapterReader.read(folder: path, name: source.name, base: base)
        let share = said.squaredError / said.energy
        // Measured: 8.3e-7: F16.
        #expect(abs(try error(adapter, source) - share) < 1.7e-6)
      }
      let total = library.errors.reduce(0) { $0 + $1.squaredError }
      #expect(total > last)
      last = total
    }
  }

  @Test func masksKeepWhatTheyWereSaidToKeep() throws {
    let library = try AdapterLibrary(masking: sources, lambda: 0.4)
    let path = try write(library)
    for (source, said) in zip(sources, library.errors) {
      let adapter = try AdapterReader.read(folder: path, name: source.name, base: base, shared: SharedTensors())
      #expect(adapter.family == "masked" && adapter.deltas.operatorNames == ["masked"])
      // Measured: 6.8e-6: F16.
      #expect(abs(try error(adapter, source) - said.squaredError / said.energy) < 1.4e-5)
    }
  }

  @Test func librariesOfWhatDoesNotFitAreRefused() throws {
    #expect(throws: CompressionError.self) { try AdapterLibrary(sharing: [sources[0]], basisRank: 4) }
    let fewer = AdapterLibrary.Source(name: "fewer", modules: Array(sources[0].modules.dropLast()))
    #expect(throws: CompressionError.self) { try AdapterLibrary(masking: [fewer, sources[1]], lambda: 0.4) }
    // For bases, a module that one does not change is none of its tensors.
    let path = try write(AdapterLibrary(sharing: [fewer, sources[1]], basisRank: 4))
    #expect(try AdapterReader.read(folder: path, name: "fewer", base: base).deltas.operators.count == 2)
    #expect(throws: AdapterError.self) { try AdapterReader.read(folder: path, name: "four", base: base) }
  }
}
