// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine
import WeftFusion

private let folder = TestPaths.package + "/Models/demo"

/// Statistics of tasks on the demo model. The gradients themselves: `GradientTests`; the products of inputs: `GramTests`.
struct StatisticsTests {
  private func engine() throws -> Engine {
    let engine = try Engine(
      model: folder + "/base.gguf", options: EngineOptions(threads: 1, maximumSequences: 4, kvType: .f32))
    try engine.loadAdapter("roman", from: folder + "/experts/roman.weft")
    return engine
  }

  private func questions(_ count: Int) throws -> [Question] {
    Array(try Question.read(folder + "/eval/roman.jsonl").prefix(count))
  }

  private let query = "model.layers.2.self_attn.q_proj"

  /// Everything at once; read back from its file it is the same, and the same call writes the same bytes.
  @Test func everythingSurvivesItsFile() throws {
    let engine = try engine()
    let options = StatisticsOptions(gram: .full, fisher: .sampled, ofFactors: true, hasGradientGram: true, seed: 7)
    let file = try TemporaryFolder()
    let questions = try questions(2)
    for name in ["one", "two"] {
      try engine.statistics(of: questions, data: "roman.jsonl", adapter: "roman", options: options).write(to: file.file(name))
    }
    #expect(try readBytes(file.file("one")) == readBytes(file.file("two")))
    let read = try MergeStatistics(path: file.file("one"))
    #expect(read.origin.base == engine.model.fingerprint && read.origin.adapter == "roman" && read.origin.exampleCount == 2)
    #expect(read.origin.fisher == "sampled" && read.origin.seed == 7 && read.origin.data == "roman.jsonl")
    // Seven projections of seven layers with six kinds, but no diagonal.
    #expect(read.names.count == 7 * 7 * 5)
    let gram = try #require(try read.values(.gram, of: query, shape: [256, 256]))
    let fisher = try #require(try read.values(.fisher, of: query, shape: [256, 256]))
    let a = try #require(try read.values(.fisherA, of: query, shape: [4, 256]))
    let b = try #require(try read.values(.fisherB, of: query, shape: [256, 4]))
    var isSymmetric = true
    for i in 0..<256 { for j in 0..<i where gram[i * 256 + j] != gram[j * 256 + i] { isSymmetric = false } }
    #expect(isSymmetric)
    for values in [fisher, a, b] { #expect(values.allSatisfy { $0 >= 0 } && values.contains { $0 > 0 }) }
    #expect { try read.values(.gram, of: query, shape: [255, 255]) } throws: { "\($0)".contains("[256, 256]") }
    #expect(try read.values(.gramDiagonal, of: query, shape: [256]) == nil)
  }

  /// The diagonal is that of the full matrix, and other answers have another Fisher information.
  @Test func kindsAgree() throws {
    let engine = try engine()
    let questions = try questions(2)
    func statistics(_ options: StatisticsOptions) throws -> MergeStatistics {
      try engine.statistics(of: questions, data: "", adapter: nil, options: options)
    }
    let full = try statistics(StatisticsOptions(gram: .full, fisher: .empirical))
    let diagonal = try statistics(StatisticsOptions(gram: .diagonal, fisher: .sampled, maximumTokens: 8))
    let down = "model.layers.6.mlp.down_proj"
    let matrix = try #require(try full.values(.gram, of: down, shape: [1024, 1024]))
    let line = try #require(try diagonal.values(.gramDiagonal, of: down, shape: [1024]))
    // Sums in f32 by OpenBLAS beside sums in f64: 7.7e-8 measured.
    #expect(relativeError((0..<1024).map { matrix[$0 * 1025] }, line) < 1.6e-7)
    #expect(
      try full.values(.fisher, of: query, shape: [256, 256]) != diagonal.values(.fisher, of: query, shape: [256, 256]))
  }

  @Test func refusesWhatItCannotRead() throws {
    let file = try TemporaryFolder()
    #expect { try MergeStatistics(path: folder + "/router.safetensors") } throws: { "\($0)".contains("weft-statistics") }
    let other = MergeStatistics(
      location: "", origin: .init(base: "b", data: "d", exampleCount: 1, tokenCount: 1, fisher: "none"), tensors: [:])
    try other.write(to: file.file("stats"))
    #expect(try MergeStatistics(path: file.file("stats")).origin == other.origin)
    var bytes = try readBytes(file.file("stats"))
    let version = try #require(bytes.firstRange(of: Array("\"version\":\"1\"".utf8)))
    bytes[version.upperBound - 2] = UInt8(ascii: "2")
    let path = try file.write(bytes, to: "newer")
    #expect { try MergeStatistics(path: path) } throws: { "\($0)".contains("version: expected 1, found 2") }
    let engine = try engine()
    #expect {
      try engine.statistics(
        of: [Question(prompt: "?", answer: "")], data: "", adapter: nil,
        options: StatisticsOptions(gram: .none, fisher: .empirical))
    } throws: { "\($0)".contains("expected an answer") }
    #expect {
      try engine.statistics(
        of: [Question(prompt: "?", answer: String(repeating: "long ", count: 2000))], data: "", adapter: nil,
        options: StatisticsOptions())
    } throws: { "\($0)".contains("within the context of 1024 tokens") }
  }
}
