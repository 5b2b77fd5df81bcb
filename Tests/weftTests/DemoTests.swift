// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// The demo model through the command line, where it has been built into `Models/demo`.
@Suite(
  "The demo model", .enabled(if: FileManager.default.fileExists(atPath: TestPaths.package + "/Models/demo/router.safetensors")))
struct DemoTests {
  private static let base = TestPaths.package + "/Models/demo/base.gguf"

  @Test func chatWithoutATerminal() throws {
    let chat = try Weft(
      ["chat", "--temperature", "0", "--max-tokens", "24"],
      input: "Spell out 12.\n/adapter list\n/adapter nope\n/adapter none\nHello!\n/bye\nnever read\n")
    #expect(chat.status == 0)
    // Answers on standard output, what is said about them on standard error, and no prompt in between.
    #expect(!chat.output.contains(">>>") && !chat.output.contains("\u{1B}") && !chat.output.contains("tokens/s"))
    let notes = chat.errors.split(separator: "\n")
    #expect(notes.count { $0.contains("tokens/s") } == 2, "\(chat.errors)")
    #expect(notes.first?.hasPrefix("numbers") == true && notes.last?.hasPrefix("base") == true, "\(chat.errors)")
    #expect(chat.errors.contains("error: adapter nope:") && chat.output.contains("LoRA, rank"))
  }

  @Test func settings() throws {
    let chat = try Weft(
      ["chat"],
      input:
        "/set temperature 0\n/set top-k many\n/set colour red\n/set seed 7\n/set\n/router off\n/router on\n/stats\n/help\n/nope\n"
    )
    #expect(chat.output.contains("  temperature        0.0") && chat.output.contains("  seed               7"))
    #expect(chat.output.contains("/adapter NAME[:WEIGHT]") && chat.output.contains("KV cache"))
    for message in ["top-k: expected a number", "'/set colour red'", "the base answers alone", "the router chooses", "'/nope'"]
    {
      #expect(chat.errors.contains(message), "\(message): \(chat.errors)")
    }
  }

  /// Every option counts, or is refused: who answers, with which weight, and how a router chooses.
  @Test(arguments: [
    (["run", "--mixture", "sort", "--per-sentence", "x"], "--per-sentence: expected a router that chooses"),
    (["run", "--adapter", "sort", "--per-sentence", "x"], "--per-sentence: expected a router that chooses"),
    (["run", "--mixture", "sort", "--router", "/x", "x"], "--mixture: expected no router"),
    (["eval", "--mixture", "sort"], "--mixture: expected --only"),
    (["eval", "--only", "sort", "--per-sentence"], "--per-sentence: expected a router that chooses"),
    (["perplexity", "--per-sentence", "--file", #filePath], "Unknown option '--per-sentence'"),
    (["logits", "--router", "x", "--tokens", "1", "--output", "/x"], "Unknown option '--router'"),
    (["imatrix", "--mixture", "sort", "--file", #filePath, "--output", "/x"], "Unknown option '--mixture'"),
    (["stats", "--adapter", "sort:0.5", "--data", #filePath, "--output", "/x"], "another weight"),
  ])
  func optionsThatDoNotFitAreRefused(arguments: [String], message: String) throws {
    let result = try Weft(arguments)
    #expect(result.status == 64 && result.output.isEmpty && result.errors.contains(message), "\(result.errors)")
  }

  /// An expert of weight 0 is the base, alone and in the mixture of all.
  @Test func evaluationUsesWeights() throws {
    let data = ["--data", TestPaths.package + "/Models/demo/eval/sort.jsonl", "--limit", "10"]
    func cells(_ more: [String]) throws -> [Substring] {
      try Weft(["eval", "--model", Self.base] + data + more).output.split(separator: "\n").last?.split(separator: " ") ?? []
    }
    let path = TestPaths.package + "/Models/demo/experts/sort.weft"
    #expect(try cells(["--adapter", "sort=\(path)"]) == ["together", "10", "0.0", "%", "100.0", "%", "100.0", "%"])
    #expect(try cells(["--adapter", "sort=\(path):0"]) == ["together", "10", "0.0", "%", "0.0", "%", "0.0", "%"])
    #expect(try cells(["--adapter", "sort=\(path):0", "--only", "{}:1"]) == ["together", "10", "100.0", "%"])
  }

  @Test func runNamesItsExperts() throws {
    let routed = try Weft(["run", "--json", "--max-tokens", "8", "Spell out 912."]).output
    #expect(routed.contains("\"adapter\":\"numbers\""), "\(routed)")
    let mixed = try Weft(["run", "--json", "--max-tokens", "8", "--adapter", "roman:0.5", "--adapter", "numbers:0.25", "912"])
      .output
    #expect(mixed.contains("{\"adapter\":\"numbers\",\"weight\":0.25},{\"adapter\":\"roman\",\"weight\":0.5}"), "\(mixed)")
    let base = try Weft(["run", "--json", "--max-tokens", "8", "--adapter", "none", "912"]).output
    #expect(base.contains("\"mixture\":[]"), "\(base)")
  }
}
