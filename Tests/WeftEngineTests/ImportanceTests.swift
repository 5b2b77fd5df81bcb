// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftEngine
import WeftFormats

/// Importance and likelihoods of the demo model against transformers (tools/make_importance_goldens.py).
struct ImportanceTests {
  private static let demo = TestPaths.package + "/Models/demo/base.gguf"

  private static func windows(_ golden: Golden) throws -> [[Int32]] {
    let tokens = try golden.integers("tokens").map { Int32($0) }
    return stride(from: 0, to: tokens.count, by: 64).map { Array(tokens[$0..<$0 + 64]) }
  }

  private static func open(_ threads: Int = 2, rows: Int = 512) throws -> Engine {
    try Engine(
      model: demo, options: EngineOptions(threads: threads, contextLength: 64, maximumStepRows: rows, kvType: .f32))
  }

  @Test func sumsAreThoseOfTransformers() throws {
    let golden = try Golden("formats/importance.safetensors")
    let matrix = try Self.open().importanceMatrix(of: Self.windows(golden), dataset: "golden")
    #expect(matrix.entries.count == 7 * 7 && matrix.chunkCount == 2 && matrix.chunkSize == 64)
    for name in golden.file.tensorOrder where name.hasPrefix("blk.") {
      let (entry, expected) = (try #require(matrix.entries[name]), try golden.floats(name))
      #expect(entry.counts == [128] && entry.columns == expected.count)
      let largest = expected.max() ?? 0
      let difference = zip(entry.sums, expected).map { abs($0 - $1) }.max() ?? 0
      // Measured: 0.0089 of the largest sum; what quantised matrices read is int8.
      #expect(difference <= 0.018 * largest, "\(name): \(difference / largest)")
    }
    let query = try #require(matrix.entries["blk.3.attn_q.weight"])
    #expect(query == matrix.entries["blk.3.attn_v.weight"])
  }

  /// Neither threads nor the rows of a step matter.
  @Test func sumsDoNotDependOnTheSteps() throws {
    let windows = try Self.windows(try Golden("formats/importance.safetensors"))
    let one = try Self.open(1).importanceMatrix(of: windows, dataset: "")
    let other = try Self.open(3, rows: 24).importanceMatrix(of: windows, dataset: "")
    #expect(one.entries == other.entries)
  }

  @Test func likelihoodsAreThoseOfTransformers() throws {
    let golden = try Golden("formats/importance.safetensors")
    let engine = try Self.open()
    var sum = 0.0
    for window in try Self.windows(golden) {
      let values = try engine.logLikelihoods(of: window, from: 33)
      #expect(values.count == 31)
      sum += values.reduce(0, +)
    }
    // Measured: 0.09; what quantised matrices read is int8.
    #expect(abs(sum - Double(try golden.floats("log_likelihood")[0])) < 0.18, "\(sum)")
  }

  @Test func perplexityIsTheMeanOverWindows() throws {
    let engine = try Self.open()
    let text = String(repeating: "A house by the sea, and a boat on the sand. ", count: 20)
    let tokens = try engine.tokenize(text, addSpecial: true)
    var (sum, count) = (0.0, 0)
    var seen: [Int] = []
    let result = try engine.perplexity(of: text, window: 64, maximumWindows: 3) { _, done, _ in seen.append(done) }
    for index in 0..<3 {
      var window = Array(tokens[index * 64..<index * 64 + 64])
      window[0] = tokens[0]
      let values = try engine.logLikelihoods(of: window, from: 33)
      sum += values.reduce(0, +)
      count += values.count
    }
    #expect(result.tokenCount == count && seen == [1, 2, 3])
    #expect(abs(result.meanLogLikelihood - sum / Double(count)) < 1e-9)
    #expect(abs(result.value - exp(-sum / Double(count))) < 1e-6 && result.standardError > 0)
  }

  @Test func theFileComesBackTheSame() throws {
    let folder = try TemporaryFolder()
    let matrix = ImportanceMatrix(
      entries: [
        "blk.0.attn_q.weight": .init(sums: [1, 2, 3], counts: [4]),
        "blk.0.ffn_up_exps.weight": .init(sums: [1, 2, 0, 0], counts: [2, 0]),
      ], datasets: ["a.txt", "b.txt"], chunkCount: 5, chunkSize: 64)
    let path = folder.file("m.gguf")
    try matrix.write(to: path)
    let read = try ImportanceMatrix(path: path)
    #expect(read.entries == matrix.entries && read.datasets == matrix.datasets)
    #expect(read.chunkCount == 5 && read.chunkSize == 64)
    #expect(try read.means(of: "blk.0.attn_q.weight", columns: 3, matrices: 1) == [[0.25, 0.5, 0.75]])
    // An expert that no row reached counts like any other column.
    #expect(try read.means(of: "blk.0.ffn_up_exps.weight", columns: 2, matrices: 2) == [[0.5, 1], [1, 1]])
    #expect(try read.means(of: "blk.9.attn_q.weight", columns: 3, matrices: 1) == nil)
    #expect(throws: FormatError.self) { try read.means(of: "blk.0.attn_q.weight", columns: 4, matrices: 1) }
  }

  /// The binary form that llama.cpp wrote before: sums of the means over two chunks.
  @Test func theOlderFormIsRead() throws {
    let folder = try TemporaryFolder()
    func bytes(_ value: Int32) -> [UInt8] { withUnsafeBytes(of: value.littleEndian, Array.init) }
    func bytes(_ value: Float) -> [UInt8] { withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init) }
    let name = Array("blk.0.attn_q.weight".utf8)
    let entry =
      bytes(Int32(name.count)) + name + bytes(Int32(2)) + bytes(Int32(3)) + bytes(Float(2)) + bytes(Float(4)) + bytes(Float(6))
    let path = try folder.write(bytes(Int32(1)) + entry + bytes(Int32(2)) + bytes(Int32(5)) + Array("a.txt".utf8), to: "m.dat")
    let matrix = try ImportanceMatrix(path: path)
    #expect(try matrix.means(of: "blk.0.attn_q.weight", columns: 3, matrices: 1) == [[1, 2, 3]])
    #expect(matrix.datasets == ["a.txt"] && matrix.chunkCount == 2)
    for count in [4, 20, entry.count] {
      let cut = try folder.write((bytes(Int32(1)) + entry).prefix(count), to: "cut.dat")
      #expect(throws: FormatError.self) { try ImportanceMatrix(path: cut) }
    }
    let huge = try folder.write(bytes(Int32.max), to: "huge.dat")
    #expect(throws: FormatError.self) { try ImportanceMatrix(path: huge) }
  }
}
