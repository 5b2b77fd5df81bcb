// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats

/// Sampling, grammars and log-probabilities on the command line, on the demo model's base.
struct SamplingCommandTests {
  private static let model = ["--model", TestPaths.package + "/Models/demo/base.gguf", "--no-template", "--seed", "3"]

  private func run(_ arguments: [String], tokens: Int = 12) throws -> Weft {
    try Weft(["run", "--max-tokens", "\(tokens)"] + Self.model + arguments + ["Once upon a time"])
  }

  /// As llama.cpp's users write them; each changes the answer of this seed, or is off.
  @Test func flagsAreThoseOfLlamaCpp() throws {
    let plain = try run([]).output
    for flags in [
      ["--temp", "1.9"], ["--top-k", "1"], ["--top-p", "0.1"], ["--typical", "0.1"], ["--logit-bias", "16-inf"],
      ["--repeat-penalty", "1.9", "--repeat-last-n", "-1"], ["--presence-penalty", "-9", "--frequency-penalty", "-9"],
      ["--mirostat", "2", "--mirostat-lr", "0.2", "--mirostat-ent", "0.5"],
      ["--xtc-probability", "1", "--xtc-threshold", "0.02"],
      [
        "--dry-multiplier", "50", "--dry-base", "2", "--dry-allowed-length", "1", "--dry-penalty-last-n", "-1",
        "--dry-sequence-breaker", "none", "--repeat-penalty", "0.2",
      ],
    ] {
      let result = try run(flags)
      #expect(result.status == 0 && result.output != plain, "\(flags): \(result.errors)\(result.output)")
    }
    for flags in [
      ["--typical", "1"], ["--mirostat", "0"], ["--dry-multiplier", "0"], ["--xtc-probability", "0"], ["--temperature", "0.8"],
      ["--frequency-penalty", "0"],
    ] {
      #expect(try run(flags).output == plain, "\(flags)")
    }
  }

  @Test(arguments: [
    (["--mirostat", "1"], 64, "--mirostat"),
    (["--repeat-last-n", "-2"], 64, "--repeat-last-n"),
    (["--dry-penalty-last-n", "-2"], 64, "--dry-penalty-last-n"),
    (["--logit-bias", "5"], 64, "--logit-bias"),
    (["--logit-bias", "99999+1"], 64, "99999"),
    (["--typical", "0"], 64, "typical-p"),
    (["--logprobs", "101"], 64, "log-probabilities"),
    (["--grammar", "root ::= x"], 64, "line 1, column 10"),
    (["--json-schema", "{\"multipleOf\": 2}"], 64, "'multipleOf'"),
    (["--grammar", "x", "--json-schema-file", "y"], 64, "--grammar and --json-schema-file"),
    (["--grammar-file", "/absent.gbnf"], 66, "/absent.gbnf"),
  ])
  func refusals(arguments: [String], status: Int32, part: String) throws {
    let result = try run(arguments)
    #expect(result.status == status && result.errors.contains(part) && result.output.isEmpty, "\(result.errors)")
  }

  @Test func answersHaveTheirForm() throws {
    let folder = try TemporaryFolder()
    let grammar = try folder.write("root ::= (\"yes\" | \"no\") \"!\"{3}\n".utf8, to: "answer.gbnf")
    let answer = try run(["--grammar-file", grammar]).output
    #expect(["yes!!!\n", "no!!!\n"].contains(answer), "\(answer)")
    let schema = #"{"type": "object", "properties": {"age": {"type": "integer", "minimum": 1}}, "required": ["age"]}"#
    let file = try folder.write(schema.utf8, to: "age.json")
    for flags in [["-j", schema], ["--json-schema", schema], ["--json-schema-file", file]] {
      let text = try run(flags, tokens: 120).output
      #expect(try #require(try JSON(parsing: text, location: "answer")["age"]?.int) >= 1)
    }
  }

  @Test func logProbabilitiesArePrinted() throws {
    let lines = try run(["--logprobs", "2", "--temp", "0"], tokens: 3).output.split(separator: "\n")
    #expect(
      lines.count == 4 && lines.dropFirst().allSatisfy { $0.contains(#/^".*" +-\d+\.\d{3}   ".*" -\d+\.\d{3}  ".*" -/#) },
      "\(lines)")
    let report = try JSON(
      parsing: try run(["--logprobs", "2", "--temp", "0", "--json"], tokens: 3).output, location: "run --json")
    let entries = try #require(report["logprobs"]?.array)
    #expect(entries.count == 3)
    for entry in entries {
      let top = try #require(entry["top"]?.array)
      #expect(top.count == 2 && top[0]["id"]?.int == entry["chosen"]?["id"]?.int)
      #expect(try #require(top[0]["logprob"]?.double) >= (try #require(top[1]["logprob"]?.double)))
    }
    #expect(try JSON(parsing: try run(["--json"], tokens: 2).output, location: "run --json")["logprobs"] == nil)
  }

  /// Every answer of a conversation has the form; settings change in between.
  @Test func conversationsHaveAForm() throws {
    let chat = try Weft(
      ["chat", "--adapter", "none", "--grammar", "root ::= \"yes\" | \"no\"", "--seed", "1"],
      input: "Is 7 prime?\n/set typical 0.5\n/set frequency-penalty 1.5\nIs 8 prime?\n/set\n")
    #expect(chat.status == 0, "\(chat.errors)")
    let lines = chat.output.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
    #expect(lines.prefix(2).allSatisfy { ["yes", "no"].contains($0) }, "\(chat.output)")
    #expect(lines.contains("typical 0.5") && lines.contains("frequency-penalty 1.5"))
  }
}
