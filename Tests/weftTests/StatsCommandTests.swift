// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// `weft stats`, what `weft merge` does with it, and `weft merge search`, on the demo model.
@Suite("weft stats and weft merge search")
struct StatsCommandTests {
  private static let demo = TestPaths.package + "/Models/demo"
  private static let model = ["--model", demo + "/base.gguf"]
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func adapter(_ name: String) -> String { "\(name)=\(Self.demo)/experts/\(name).weft" }

  private func statistics(_ name: String, _ arguments: [String]) throws -> Weft {
    try Weft(
      ["stats"] + Self.model + ["--adapter", adapter(name), "--data", "\(Self.demo)/eval/\(name).jsonl", "--limit", "2"]
        + ["--output", folder.file(name)] + arguments)
  }

  @Test func statisticsDecideAMerge() throws {
    for name in ["roman", "numbers"] {
      let collected = try statistics(name, ["--fisher", "empirical", "--fisher-of", "both"])
      #expect(collected.status == 0 && collected.errors.isEmpty, "\(collected.errors)")
      #expect(collected.output.contains("196 tensors of 2 examples"), "\(collected.output)")
    }
    var merged: [String: [UInt8]] = [:]
    let files = ["--statistics", "roman=\(folder.file("roman"))", "--statistics", "numbers=\(folder.file("numbers"))"]
    for method in ["fisher", "fisher_factors", "regmean"] {
      let run = try Weft(
        ["merge", "--method", method, adapter("roman"), adapter("numbers"), "--output", folder.file(method)] + files)
      #expect(run.status == 0 && run.errors.isEmpty, "\(method): \(run.errors)")
      merged[method] = try readBytes(folder.file(method + "/adapter_model.safetensors"))
    }
    #expect(Set(merged.values).count == 3)
    let regularMean = try SafetensorsFile(path: folder.file("regmean/adapter_model.safetensors"))
    #expect(regularMean.tensors.values.contains { $0.shape == [4, 256] }, "the rank of the adapters")

    let missing = try Weft(
      ["merge", "--method", "fisher", adapter("roman"), adapter("numbers"), "--output", folder.file("x")] + files.prefix(2))
    #expect(
      missing.status == 64 && missing.errors.contains("numbers: expected statistics, as the others have them"),
      "\(missing.errors)")
    let none = try Weft(["merge", "--method", "fisher", adapter("roman"), adapter("numbers"), "--output", folder.file("x")])
    #expect(none.status == 64 && none.errors.contains("expected one file for each of 2 tasks"), "\(none.errors)")
    let unread = try Weft(
      ["merge", "--method", "linear", adapter("roman"), adapter("numbers"), "--output", folder.file("x")] + files)
    #expect(unread.status == 64 && unread.errors.contains("expected no statistics, which it does not read"), "\(unread.errors)")
    #expect(try !folder.contents.contains("x"))
  }

  @Test func wrongArguments() throws {
    for (arguments, part) in [
      (["--gram", "none"], "expected --gram or --fisher"), (["--gradient-gram"], "expected --fisher beside it"),
      (["--gram", "some"], "full"), (["--limit", "0"], "1 or more"),
      (["--fisher-of", "factors"], "expected --fisher beside it"),
      (["--fisher", "empirical", "--max-tokens", "3"], "expected --fisher sampled"),
    ] {
      let run = try statistics("roman", arguments)
      #expect(run.status == 64 && run.errors.contains(part), "\(arguments): \(run.errors)")
    }
    let alone = try Weft(
      ["stats"] + Self.model + ["--data", "\(Self.demo)/eval/roman.jsonl", "--fisher", "empirical", "--fisher-of", "factors"]
        + ["--output", folder.file("x")])
    #expect(alone.status == 64 && alone.errors.contains("expected an --adapter"), "\(alone.errors)")
    let absent = try Weft(["stats"] + Self.model + ["--data", folder.file("absent"), "--output", folder.file("x")])
    #expect(absent.status == 66, "\(absent.errors)")
    #expect(try folder.contents.isEmpty)
  }

  /// The mixture that is printed can be read, and the adapter that is written exists; the same seed says the same.
  @Test func aSearchPrintsAMixture() throws {
    let arguments =
      ["merge", "search", "--data", "\(Self.demo)/eval/roman.jsonl", "--limit", "2"]
      + Self.model + [adapter("roman"), adapter("sort")]
    let adamerging = arguments + ["--method", "adamerging", "--layer-groups", "2", "--max-tokens", "2", "--evaluations", "3"]
    let found = try Weft(adamerging + ["--output", folder.file("merged")])
    #expect(found.status == 0 && found.errors.contains("3 tries of 2 questions"), "\(found.errors)")
    let mixture = try #require(found.output.split(separator: "\n").first.map(String.init))
    #expect(mixture.contains("[@0-2="), "\(mixture)")
    #expect(try Weft(adamerging).output == mixture + "\n")
    let written = try SafetensorsFile(path: folder.file("merged/adapter_model.safetensors"))
    #expect(written.tensors.values.contains { $0.shape == [8, 256] }, "all ranks together")
    let loaded = ["--adapter", adapter("roman"), "--adapter", adapter("sort")]
    let answer = try Weft(
      ["run"] + Self.model + loaded + ["--mixture", mixture, "--max-tokens", "4", "What is 5 in Roman numerals?"])
    #expect(answer.status == 0, "\(answer.errors)")

    let soup = try Weft(arguments + ["--method", "soup"])
    #expect(soup.output == "roman:1\n", "\(soup.output)")
    for (more, message) in [
      (["--method", "soup", "--layer-groups", "2"], "one group of layers"),
      (["--method", "soup", "--evaluations", "2"], "--evaluations: expected another method"),
      (["--method", "lorahub", "--max-tokens", "2"], "--max-tokens: expected --method adamerging"),
      (["--method", "soup", adapter("clock") + ":0.5"], "clock: expected no weight"),
    ] {
      let refused = try Weft(arguments + more)
      #expect(refused.status == 64 && refused.errors.contains(message), "\(refused.errors)")
    }
  }
}
