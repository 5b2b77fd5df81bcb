// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTensors

@Suite("Commands that write and measure models")
struct ModelFileCommandTests {
  private let folder: TemporaryFolder
  private static let demo = TestPaths.package + "/Models/demo/base.gguf"
  private static let golden = TestPaths.goldens + "/architectures/llama-llama3"

  init() throws { folder = try TemporaryFolder() }

  @Test func theWholeWay() throws {
    let text = folder.file("text.txt")
    let words = "The old house stood at the end of the road, and nobody had lived there for years. "
    try folder.write(Array(String(repeating: words, count: 60).utf8), to: "text.txt")
    let matrix = folder.file("demo.imatrix.gguf")
    let collected = try Weft(["imatrix", "--model", Self.demo, "-f", text, "--context", "128", "--output", matrix])
    #expect(collected.status == 0 && collected.errors.isEmpty, "\(collected.errors)")
    #expect(collected.output.contains("columns of 49 tensors"), "\(collected.output)")
    let small = folder.file("small.gguf")
    let made = try Weft(["quantize", Self.demo, "--type", "q4_k", "--imatrix", matrix, "--output", small])
    #expect(made.status == 0 && made.output.contains("65 tensors"), "\(made.errors)")
    #expect(made.errors.contains("quantised already"))
    let file = try GGUFFile(path: small)
    #expect(file.metadata["quantize.imatrix.entries_count"] == .unsigned(49))
    #expect(file.metadata["quantize.imatrix.dataset"] == .string(text))
    #expect(file.tensors["blk.3.attn_q.weight"]?.dtype == .q4_k)
    var values: [Double] = []
    for model in [Self.demo, small] {
      let measured = try Weft(["perplexity", "--model", model, "--file", text, "--context", "128", "--chunks", "4"])
      #expect(measured.status == 0 && measured.output.contains("252 tokens in 4 windows of 128"), "\(measured.errors)")
      values.append(Double(measured.output.split(separator: " ")[1]) ?? .nan)
    }
    // Four bits cost something, and not much.
    #expect(values[1] != values[0] && abs(values[1] / values[0] - 1) < 0.1, "\(values)")
    #expect(try Weft(["run", "--model", small, "--max-tokens", "4", "Hello"]).status == 0)
  }

  @Test func aFolderBecomesAFile() throws {
    let path = folder.file("model.gguf")
    let made = try Weft(["convert", Self.golden, "--output", path])
    #expect(made.status == 0 && made.errors.isEmpty && made.output.contains("21 tensors"), "\(made.errors)")
    let tokens = ["--tokens", "1,2,3,4,5", "--output"]
    for (model, name) in [(Self.golden, "a"), (path, "b")] {
      #expect(try Weft(["logits", "--model", model] + tokens + [folder.file(name)]).status == 0)
    }
    let (a, b) = (try SafetensorsFile(path: folder.file("a")), try SafetensorsFile(path: folder.file("b")))
    let pairs = zip(try #require(a.tensors["logits"]).floats(), try #require(b.tensors["logits"]).floats())
    // Measured: 4.8e-7 of logits up to 1.
    #expect(pairs.allSatisfy { abs($0 - $1) <= 1e-6 })
  }

  /// A disk that is full, as far as the program can tell: an error with its own code, and nothing left.
  @Test(arguments: [1, 100, 2000]) func aFullDiskLeavesNothingBehind(blocks: Int) throws {
    let result = try Weft(
      ["quantize", Self.demo, "--type", "Q8_0", "--output", folder.file("out.gguf")], fileBlocks: blocks)
    #expect(result.status == 73 && result.errors.contains("cannot write") && result.output.isEmpty, "\(result)")
    #expect(try folder.contents.isEmpty)
  }

  @Test func whatIsAtThePathStaysUntilTheNewFileIsComplete() throws {
    let path = try folder.write(Array("old".utf8), to: "out.gguf")
    #expect(try Weft(["quantize", Self.demo, "--type", "Q8_0", "--output", path], fileBlocks: 100).status == 73)
    #expect(try readBytes(path) == Array("old".utf8))
    #expect(try Weft(["quantize", Self.demo, "--type", "Q8_0", "--output", path]).status == 0)
    #expect(try readBytes(path).count > 8_000_000)
    #expect(try folder.contents == ["out.gguf"])
  }

  /// Arguments (OUT is a new file, DEMO the demo model, TEXT a short text), the exit code, and what the message names.
  @Test(arguments: [
    (["quantize", "/absent.gguf", "--type", "Q8_0", "--output", "OUT"], 66, "/absent.gguf"),
    (["quantize", "DEMO", "--type", "Q3_K_M", "--output", "OUT"], 64, "Q4_K_M"),
    (["quantize", "DEMO", "--output", "OUT"], 64, "--type"),
    (["quantize", "DEMO", "--type", "Q8_0"], 64, "--output"),
    (["quantize", "DEMO", "--type", "Q8_0", "--output", "DEMO"], 64, "another file"),
    (["quantize", "DEMO", "--type", "Q8_0", "--output", "/absent/x.gguf"], 73, "/absent/x.gguf"),
    (["quantize", "DEMO", "--type", "Q8_0", "--output", "/dev/null"], 73, "/dev/null"),
    (["quantize", "DEMO", "--type", "Q8_0", "--imatrix", "/absent", "--output", "OUT"], 66, "/absent"),
    (["quantize", "DEMO", "--type", "Q8_0", "--imatrix", "DEMO", "--output", "OUT"], 69, "importance matrix"),
    (["quantize", "DEMO", "--type", "Q8_0", "--imatrix", "TEXT", "--output", "OUT"], 65, "number of entries"),
    (["quantize", "DEMO", "--type", "Q8_0", "--tensor-type", "attn_v=Q9", "--output", "OUT"], 64, "attn_v=Q9"),
    (["quantize", "DEMO", "--type", "Q8_0", "--tensor-type", "attn_x=Q8_0", "--output", "OUT"], 64, "attn_x"),
    (["quantize", "DEMO", "--type", "Q8_0", "--threads", "0", "--output", "OUT"], 64, "threads"),
    (["quantize", "TEXT", "--type", "Q8_0", "--output", "OUT"], 69, "GGUF"),
    (["convert", "DEMO", "--output", "OUT"], 64, "weft quantize"),
    (["convert", "/absent", "--output", "OUT"], 66, "/absent"),
    (["perplexity", "--model", "DEMO", "--file", "/absent"], 66, "/absent"),
    (["perplexity", "--model", "DEMO", "--file", "TEXT"], 64, "at least one window of 512 tokens"),
    (["perplexity", "--model", "DEMO", "--file", "DEMO"], 65, "UTF-8"),
    (["perplexity", "--model", "DEMO", "--file", "TEXT", "--context", "2"], 64, "window"),
    (["imatrix", "--model", "DEMO", "--file", "TEXT", "--output", "OUT"], 64, "at least one window"),
    (["imatrix", "--model", "DEMO", "--file", "/absent", "--output", "OUT"], 66, "/absent"),
  ])
  func refusals(arguments: [String], status: Int32, name: String) throws {
    try folder.write(Array("A short text, not more.".utf8), to: "text.txt")
    let values = ["OUT": folder.file("out.gguf"), "DEMO": Self.demo, "TEXT": folder.file("text.txt")]
    let result = try Weft(arguments.map { values[$0] ?? $0 })
    #expect(result.status == status, "\(result.status) \(result.errors)")
    #expect(result.errors.contains(name) && result.output.isEmpty, "\(result.errors)")
    #expect(try folder.contents == ["text.txt"])
  }
}
