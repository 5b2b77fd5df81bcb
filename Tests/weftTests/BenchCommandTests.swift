// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// What `weft bench` measures is a matter of the machine; that it measures what was asked for is not.
@Suite("weft bench")
struct BenchCommandTests {
  private static let demo = TestPaths.package + "/Models/demo/base.gguf"
  private static let experts = ["roman", "clock"].flatMap {
    ["--adapter", "\($0)=\(TestPaths.package)/Models/demo/experts/\($0).weft"]
  }

  /// Options behind a short prompt, and what the JSON says of them.
  @Test(arguments: [
    ([], ["sequences": 1, "adapters": 0, "prompt_tokens": 20]),
    (["--sequences", "3"], ["sequences": 3, "adapters": 0, "prompt_tokens": 20]),
    (["--sequences", "5", "--different"] + experts, ["sequences": 5, "adapters": 2, "prompt_tokens": 20]),
    (["--sequences", "2"] + experts, ["sequences": 2, "adapters": 2, "prompt_tokens": 20]),
  ])
  func sequences(options: [String], expected: [String: Double]) throws {
    try check(["--prefill", "20"] + options, expected.merging(["decode_tokens": 3]) { $1 })
  }

  @Test func context() throws {
    try check(["--context", "700"], ["context": 700, "prompt_tokens": 700])
  }

  @Test func switching() throws {
    let json = try measure(["--prefill", "20", "--switching"] + Self.experts, repetitions: [])
    #expect(json["pairs"]?.double == 3 && json["switch_microseconds"]?.double != nil)
    #expect(try #require(json["switch_call_microseconds"]?.double) > 0)
    #expect(try #require(json["step_milliseconds"]?.double) > 0)
  }

  @Test(arguments: [
    (["--sequences", "0"], "--sequences"),
    (["--context", "0"], "--context"),
    (["--context", "5", "--prefill", "5"], "not both"),
    (["--sequences", "2", "--different"], "two adapters"),
    (["--different"] + experts, "--sequences 2"),
    (["--switching"], "two adapters"),
    (["--switching", "--sequences", "2"] + experts, "one sequence"),
    (["--switching", "--repetitions", "2"] + experts, "--repetitions: expected without --switching"),
    (["--planner", "--sequences", "2"], "--sequences: expected without --planner"),
    (["--planner", "--adapters"], "--adapters: expected without --planner"),
    (["--adapters", "--mixture", "roman"], "--mixture: expected without --adapters"),
    (["--adapters"] + experts, "--adapter: expected without --adapters"),
    (["--context", "100000000"], "context length"),
  ])
  func refusals(options: [String], name: String) throws {
    let run = try Weft(["bench", "--model", Self.demo] + options)
    #expect(run.status == 64 && run.output.isEmpty && run.errors.contains(name), "\(run.errors)")
  }

  private func check(_ options: [String], _ expected: [String: Double]) throws {
    let json = try measure(options)
    for (name, value) in expected { #expect(json[name]?.double == value, "\(name)") }
    for name in ["prefill_tokens_per_second", "decode_tokens_per_second", "step_milliseconds"] {
      #expect(try #require(json[name]?.double) > 0, "\(name)")
    }
  }

  private func measure(_ options: [String], repetitions: [String] = ["--repetitions", "1"]) throws -> JSON {
    let run = try Weft(
      ["bench", "--json", "--model", Self.demo, "--decode", "3", "--threads", "1"] + repetitions + options)
    try #require(run.status == 0, "\(run.errors)")
    return try JSON(parsing: run.output, location: "weft bench --json")
  }
}
