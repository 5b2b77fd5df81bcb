// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftFusion
import WeftTensors

/// Whole models merged by statistics of some of their modules.
struct StatisticsCheckpointTests {
  private static let goldens = TestPaths.goldens + "/checkpoint-merge/"
  private static let known = "model.layers.1.self_attn.q_proj"

  private func model(_ name: String, _ diagonal: [Float], module: String = known) throws -> CheckpointMerge.Model {
    var model = CheckpointMerge.Model(name: name, path: Self.goldens + name)
    model.statistics = MergeStatistics(
      location: name, origin: .init(base: "", data: "", exampleCount: 1, tokenCount: 1, fisher: "none"),
      tensors: [MergeStatistics.name(module, .gramDiagonal): try Tensor(diagonal, shape: [16])])
    return model
  }

  /// Columns that one task alone reads are that task's, those that both read alike the mean; and so is every other tensor.
  @Test func columnsBelongToWhoReadsThem() throws {
    let output = try TemporaryFolder()
    let reads: [Float] = (0..<16).map { $0 < 5 ? 2 : $0 < 10 ? 0 : 1 }
    let alsoReads: [Float] = (0..<16).map { $0 < 5 ? 0 : $0 < 10 ? 3 : 1 }
    let merge = CheckpointMerge(method: try .named("regmean"), dtype: .f32)
    try merge([model("a", reads), model("b", alsoReads)], base: Self.goldens + "base", to: output.file("merged"))
    let files = try [Self.goldens + "a", Self.goldens + "b", output.file("merged")].map { try Checkpoint(path: $0) }
    var largest: Float = 0
    for (name, merged) in files[2].tensors {
      let (a, b) = (try #require(files[0].tensors[name]).floats(), try #require(files[1].tensors[name]).floats())
      let expected = a.indices.map { index -> Float in
        guard name == Self.known + ".weight", index % 16 < 10 else { return (a[index] + b[index]) / 2 }
        return index % 16 < 5 ? a[index] : b[index]
      }
      largest = max(largest, relativeError(merged.floats(), expected))
    }
    // Rounding of tau and of the sum with the base; measured: 1.1e-7.
    #expect(largest < 2.2e-7, "\(largest)")
  }

  @Test func otherNamesAreRefused() throws {
    let output = try TemporaryFolder()
    let ones = [Float](repeating: 1, count: 16)
    let merge = CheckpointMerge(method: try .named("regmean"))
    #expect {
      try merge(
        [model("a", ones), model("b", ones, module: "blk.1.attn_q")], base: Self.goldens + "base", to: output.file("merged"))
    } throws: { "\($0)".contains("b: expected gram or gram_diagonal of a module to be merged") }
    #expect {
      try merge(
        [model("a", ones), .init(name: "b", path: Self.goldens + "b")], base: Self.goldens + "base", to: output.file("merged"))
    } throws: { "\($0)".contains("expected one file for each of 2 tasks, as `weft stats` writes them, found 1") }
    #expect(try output.contents.isEmpty)
  }
}
