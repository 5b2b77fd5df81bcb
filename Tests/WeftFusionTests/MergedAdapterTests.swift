// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftFusion
import WeftTensors

/// Merged adapters as files and in memory.
struct MergedAdapterTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }
  private let pair: [(String, Float)] = [("a", 0.7), ("d", 0.6)]

  @Test func writtenFoldersReadAsTheyWere() throws {
    let merged = try merged("cat", pair)
    try merged.write(folder: folder.file("new"))
    guard case .factors(let again) = try AdapterReader.factors(folder: folder.file("new"), base: .tiny) else {
      Issue.record("not plain factors")
      return
    }
    let written = try merged.factors()
    #expect(again.modules.map(\.path) == written.modules.map(\.path))
    for (module, other) in zip(again.modules, written.modules) {
      switch (module.part, other.part) {
      case (.linear(let a, let b, let scale), .linear(let otherA, let otherB, 1)),
        (.embedding(let a, let b, let scale), .embedding(let otherA, let otherB, 1)):
        #expect(a.floats() == otherA.floats() && b.floats() == otherB.floats() && scale == 1)
      default: Issue.record("\(module.path) is of another kind")
      }
    }
    // Ranks are 4 + 3, and 4 + 5 for q_proj.
    #expect(Set(again.modules.map { if case .linear(let a, _, _) = $0.part { a.rows } else { 0 } }) == [0, 4, 7, 9])
    let file = try SafetensorsFile(path: folder.file("new/adapter_model.safetensors"))
    #expect(file.metadata["weft.merge.method"] == "cat")
    #expect(file.metadata["weft.merge.sources"]?.contains("d=") == true)
  }

  @Test func adapterOfOneBaseReadsIntoTheEngine() throws {
    try merged("svd", pair, rank: 2).write(folder: folder.file("new"))
    let adapter = try AdapterReader.read(folder: folder.file("new"), name: "new", base: .tiny)
    #expect(adapter.deltas.ranks == 2...2)
    #expect(adapter.baseModel == "tiny")
  }

  @Test func scalesAreWrittenAsIA3() throws {
    try merged("linear", [("i", 0.7), ("j", -0.2)]).write(folder: folder.file("new"))
    let adapter = try AdapterReader.read(folder: folder.file("new"), name: "new", base: .tiny)
    #expect(adapter.family == "IA3")
    guard case .scale(let scale)? = adapter.deltas.operators[.layer(0, .down)]?.first else {
      Issue.record("no scale at down_proj")
      return
    }
    #expect(scale.place == .input)
    #expect(scale.factors == (try Golden("merge/peft.safetensors").floats("ia3|model.layers.0.mlp.down_proj")))
  }

  @Test(arguments: ["linear", "ties", "cat", "svd", "slerp", "task_arithmetic", "della"])
  func adaptersInMemoryMergeAsFilesDo(_ method: String) throws {
    let names: [(String, Float)] = [("a", 0.6), ("b", 0.5)]
    let parameters: [String: Float] =
      ["ties": ["density": 0.5], "slerp": ["t": 0.4], "della": ["density": 0.5]][method] ?? [:]
    let files = try merged(method, names, parameters: parameters, base: .tiny)
    let merge = AdapterMerge(method: try .named(method), parameters: MergeParameters(parameters), seed: 3)
    let memory = try merge(
      names.map { MergeSource(try AdapterReader.read(folder: MergeCase.folder($0.0), name: $0.0, base: .tiny), weight: $0.1) },
      base: .tiny)
    #expect(memory.modules.map(\.place) == files.modules.map(\.place))
    #expect(memory.modules.map(\.part) == files.modules.map(\.part))
    let deltas = try memory.deltas()
    #expect(deltas.operators.count == 6 && deltas.embedding.count == 1)
  }

  @Test func theOrderIsThatOfTheModelWithAndWithoutIt() throws {
    let alone = try merged("cat", [("c", 1), ("a", 1)])
    let known = try merged("cat", [("c", 1), ("a", 1)], base: .tiny)
    #expect(alone.modules.map(\.place.path) == known.modules.map(\.place.path))
    #expect(alone.modules.first?.place.path == "model.embed_tokens")
    #expect(alone.modules.dropFirst().first?.place.path == "model.layers.0.self_attn.q_proj")
  }

  @Test func anInterruptedMergeLeavesNothing() throws {
    let merge = AdapterMerge(method: try .named("cat"))
    let sources = try pair.map { try MergeSource(reading: MergeCase.folder($0.0), name: $0.0, weight: $0.1) }
    #expect {
      try merge(sources) { done, _ in done < 2 }
    } throws: { error in
      if case MergeError.interrupted = error { true } else { false }
    }
    // A place that is taken stays as it was, and nothing new is beside it.
    try folder.write("mine".utf8, to: "taken/file")
    #expect { try merged("cat", pair).write(folder: folder.file("taken")) } throws: { "\($0)".contains("taken") }
    #expect(try folder.contents == ["taken"])
    #expect(try readBytes(folder.file("taken/file")) == Array("mine".utf8))
  }

  @Test func packsHoldTheSameTensors() throws {
    let merged = try merged("cat", pair)
    try merged.write(pack: folder.file("new.weft"), name: "new")
    let pack = try PackFile(path: folder.file("new.weft"))
    #expect(pack.provenance.method == "cat" && pack.provenance.sources == ["a=a:0.7", "d=d:0.6"])
    let again = try MergeSource(reading: folder.file("new.weft"), name: "again", weight: 1)
    guard case .factors(let factors) = again.content else {
      Issue.record("not plain factors")
      return
    }
    let (read, written) = (
      try AdapterFactorsWriter.tensors(of: factors, location: ""),
      try AdapterFactorsWriter.tensors(of: merged.factors(), location: "")
    )
    #expect(read.mapValues { $0.floats() } == written.mapValues { $0.floats() })
  }

  /// Factors of eight bits, and of the columns of B more than there are ranks, count as the numbers that they mean.
  @Test func packedFactorsMergeAsTheirNumbers() throws {
    guard case .factors(let own) = try AdapterReader.factors(folder: MergeCase.folder("b")) else { return }
    let tensors = try AdapterFactorsWriter.tensors(of: own, location: "")
    let writer = try PackWriter(path: folder.file("small.weft"), provenance: PackProvenance(base: "tiny 2x16"))
    var references: [PackMember.Reference] = []
    for (name, tensor) in tensors {
      guard name.contains("lora_B") else {
        references.append(.init(name, try writer.add(tensor)))
        continue
      }
      var padded: [Float] = []
      for row in 0..<tensor.rows { padded += tensor.slice(rows: row..<row + 1).floats() + [Float](repeating: 0, count: 28) }
      let rows = tensor.rows
      let storage = try Storage(byteCount: rows * DType.q8_0.blockBytes)
      try Tensor(padded, shape: [rows, 32]).encodeRows(0..<rows, as: .q8_0, into: storage.base)
      let wide = try #require(Tensor(dtype: .q8_0, shape: [rows, 32], storage: storage, offset: 0))
      references.append(.init(name, try writer.add(wide)))
    }
    try writer.addMember("small", config: AdapterFactorsWriter.config(of: own), tensors: references)
    try writer.finish()
    let source = try MergeSource(reading: folder.file("small.weft"), name: "small", weight: 1)
    let merged = try AdapterMerge(method: .named("cat"))([source])
    #expect(merged.options.fingerprint == "tiny 2x16")
    let plain = try AdapterMerge(method: .named("cat"))([MergeSource(reading: MergeCase.folder("b"), name: "b", weight: 1)])
    for (module, other) in zip(merged.modules, plain.modules) {
      guard case .factors(let small) = module.part, case .factors(let large) = other.part else { continue }
      #expect(small.rank == 4)
      // Q8_0 keeps 1 / 254 of the largest number of a block.
      #expect(relativeError(product(small, module.place.shape), product(large, module.place.shape)) < 0.01)
    }
    // A pack for another base is not mixed with it.
    let other = try PackWriter(path: folder.file("other.weft"), provenance: PackProvenance(base: "large 24x896"))
    references = []
    for (name, tensor) in tensors { references.append(.init(name, try other.add(tensor))) }
    try other.addMember("other", config: AdapterFactorsWriter.config(of: own), tensors: references)
    try other.finish()
    let foreign = try MergeSource(reading: folder.file("other.weft"), name: "other", weight: 1)
    #expect {
      try AdapterMerge(method: .named("cat"))([source, foreign])
    } throws: { "\($0)".contains("other: expected base tiny 2x16, as small has, found large 24x896") }
  }
}
