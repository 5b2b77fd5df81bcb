// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftFormats
import WeftFusion
import WeftTensors

/// Merges by methods with several results.
struct MergedLibraryTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func sources(_ names: [String] = ["a", "b"]) throws -> [MergeSource] {
    try zip(["a", "b"], names).map { try MergeSource(reading: MergeCase.folder($0), name: $1, weight: 1) }
  }

  private func merge(_ method: String = "twin_merging") throws -> AdapterMerge { AdapterMerge(method: try .named(method)) }

  @Test func foldersAndPacksHoldEveryMember() throws {
    let library = try MergedLibrary(merge(), sources())
    #expect(library.members.map(\.name) == ["shared", "a", "b"])
    try library.write(folder: folder.file("library"))
    #expect(try folder.contents == ["library"])
    try library.write(pack: folder.file("library.weft"))
    for (name, adapter) in library.members {
      let modules = try adapter.factors().modules.map(\.path)
      guard case .factors(let again) = try AdapterReader.factors(folder: folder.file("library/\(name)"), base: .tiny) else {
        Issue.record("\(name) is not plain factors")
        continue
      }
      #expect(again.modules.map(\.path) == modules)
    }
    let pack = try PackFile(path: folder.file("library.weft"))
    #expect(pack.members.map(\.name) == ["shared", "a", "b"])
    #expect(pack.provenance.method == "twin_merging")
  }

  /// A part alone is the member of that name.
  @Test func partsAreMembers() throws {
    let library = try MergedLibrary(merge("emr"), sources())
    for (part, member) in library.members.enumerated() {
      var one = try merge("emr")
      one.parameters.add("part", .init([Float(part)]))
      #expect(try one(sources()).modules.map(\.part) == member.adapter.modules.map(\.part))
    }
  }

  @Test func anInterruptedOrRefusedLibraryLeavesNothing() throws {
    var last = (done: 0, count: 0)
    let first = try merge()(sources()) {
      last = ($0, $1); return true
    }
    #expect(last.done == first.modules.count)
    // The first result is complete, the second is not.
    #expect {
      try MergedLibrary(merge(), sources()) { done, _ in done <= first.modules.count }
    } throws: { error in
      if case MergeError.interrupted = error { true } else { false }
    }
    #expect { try MergedLibrary(merge("svd"), sources()) } throws: { "\($0)".contains("one result") }
    #expect { try MergedLibrary(merge(), sources(["shared", "b"])) } throws: { "\($0)".contains("'shared'") }
    try folder.write("mine".utf8, to: "taken/file")
    let library = try MergedLibrary(merge(), sources())
    #expect { try library.write(folder: folder.file("taken")) } throws: { "\($0)".contains("taken") }
    #expect(try folder.contents == ["taken"])
  }

  @Test func masksAndRanksReachTheMethod() throws {
    let path = folder.file("masks.safetensors")
    let place = "a.model.layers.0.self_attn.q_proj"
    let writer = try SafetensorsWriter(path: path, tensors: [(name: place, dtype: .f32, shape: [1])])
    try writer.append([0])
    try writer.finish()
    var masked = AdapterMerge(method: try .named("given_masks"), masks: try MergeMasks(path: path))
    masked.rank = 16
    let merged = try masked(sources())
    let index = try #require(merged.modules.firstIndex { $0.place.path == "model.layers.0.self_attn.q_proj" })
    let alone = try AdapterMerge(method: try .named("svd"), rank: 16)([sources()[1]])
    let other = try #require(alone.modules.first { $0.place.path == "model.layers.0.self_attn.q_proj" })
    guard case .factors(let left) = merged.modules[index].part, case .factors(let right) = other.part else {
      Issue.record("not factors")
      return
    }
    let shape = merged.modules[index].place.shape
    // Measured 6.5e-7: singular values of the dense change, in f32.
    #expect(relativeError(product(left, shape), product(right, shape)) <= 1.3e-6)
    #expect(try AdapterMerge(method: try .named("lego"), rank: 3)(sources()).rank == 3)
  }
}
