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
    #expect(pack.members.map(\.name) == ["new"])
    #expect(pack.provenance.method == "cat")
    #expect(pack.tensors.count == Set(try AdapterFactorsWriter.tensors(of: merged.factors(), location: "").keys).count)
  }
}
