// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTensors

@Suite("weft fuse, weft merge of models, --plan")
struct FuseCommandTests {
  private let folder: TemporaryFolder
  private static let families = TestPaths.goldens + "/families"
  private static let base = families + "/bases/llama"
  private static let adapter = families + "/lora-dora"
  private static let demo = TestPaths.package + "/Models/demo/base.gguf"

  init() throws { folder = try TemporaryFolder() }

  @Test func aFolderAFileAndAQuantisedOne() throws {
    let (path, file, small) = (folder.file("fused"), folder.file("fused.gguf"), folder.file("small.gguf"))
    let made = try Weft(["fuse", Self.base, "--adapter", "one=\(Self.adapter)", "--output", path])
    #expect(made.status == 0 && made.errors.isEmpty && made.output.contains("tensors changed"), "\(made.errors)")
    // Nothing is rounded away in F32: there is nothing to say about it.
    #expect(made.output.split(separator: "\n").count == 1)
    #expect(try Weft(["fuse", Self.base, "--adapter", "one=\(Self.adapter)", "--output", file]).status == 0)
    let tokens = ["--tokens", "1,2,3,4,5", "--output"]
    for (name, arguments) in [
      ("a", ["--model", path]), ("b", ["--model", file]), ("c", ["--model", Self.base, "--adapter", "one=\(Self.adapter)"]),
    ] {
      #expect(try Weft(["logits"] + arguments + tokens + [folder.file(name)]).status == 0)
    }
    let logits = try ["a", "b", "c"].map { try SafetensorsFile(path: folder.file($0)).tensors["logits"]?.floats() ?? [] }
    #expect(logits[0] == logits[1])
    // Measured: 5e-7.
    #expect(relativeError(logits[0], logits[2]) <= 1e-6)
    let quantised = try Weft(
      ["fuse", Self.base, "--adapter", "one=\(Self.adapter)", "--mixture", "one@0", "--type", "Q4_0", "--output", small])
    #expect(quantised.status == 0, "\(quantised.errors)")
    for word in ["rounding / change", "change kept", "layer 0", "mean of tensors", "worst: blk.0."] {
      #expect(quantised.output.contains(word), "\(quantised.output)")
    }
    #expect(!quantised.output.contains("layer 1"))
    let original = try Weft(
      ["fuse", small, "--master", Self.base, "--adapter", "one=\(Self.adapter)", "--output", folder.file("again.gguf")])
    #expect(original.status == 0, "\(original.errors)")
    #expect(try GGUFFile(path: folder.file("again.gguf")).tensors["blk.0.attn_q.weight"]?.dtype == .q4_0)
  }

  /// Arguments (OUT is a new path, BASE a folder, DEMO the quantised demo model, ONE an adapter), the exit code, and what the
  /// message names.
  @Test(arguments: [
    (["fuse", "BASE", "--output", "OUT"], 64, "--adapter"),
    (["fuse", "BASE", "--adapter", "one", "--output", "OUT"], 64, "NAME=PATH"),
    (["fuse", "BASE", "--adapter", "ONE", "--mixture", "two", "--output", "OUT"], 66, "two"),
    (["fuse", "BASE", "--adapter", "ONE", "--mixture", "base", "--output", "OUT"], 64, "at least one"),
    (["fuse", "BASE", "--adapter", "ONE", "--type", "Q4_0", "--output", "OUT"], 69, "GGUF"),
    (["fuse", "BASE", "--adapter", "ONE", "--output", "BASE"], 64, "another place"),
    (["fuse", "DEMO", "--adapter", "e=DEMOONE", "--output", "OUT.gguf"], 69, "--master"),
    (["fuse", "DEMO", "--master", "BASE", "--adapter", "e=DEMOONE", "--output", "OUT.gguf"], 64, "original"),
    (["fuse", "/absent", "--adapter", "ONE", "--output", "OUT"], 66, "/absent"),
    (["fuse", "BASE", "--adapter", "ONE", "--output", "/absent/x.gguf"], 73, "/absent"),
    (["fuse", "BASE", "--adapter", "ONE", "--imatrix", "x", "--output", "OUT"], 64, "--imatrix"),
    (["fuse", "BASE", "--adapter", "ONE", "--max-shard-size", "1M", "--output", "OUT.gguf"], 64, "--max-shard-size"),
    (["fuse", "BASE", "--adapter", "ONE", "--adapter-option", "two:task=1", "--output", "OUT"], 64, "one for one, found two"),
    (["merge", "--method", "cat", "ONE", "--max-shard-size", "1M", "--output", "OUT"], 64, "--max-shard-size"),
    (["run", "--adapter-option", "roman:task=1", "Hello"], 64, "one for an adapter, found roman"),
    (["run", "--plan", "fuse", "--adapter", "none", "Hello"], 64, "--plan"),
    (["run", "--plan", "fuse", "--adapter", "roman", "Hello"], 69, "quantised"),
    (["run", "--plan", "composite", "--adapter", "roman", "Hello"], 69, "one adapter already"),
  ])
  func refusals(arguments: [String], status: Int32, name: String) throws {
    let values = [
      "OUT": folder.file("out"), "OUT.gguf": folder.file("out.gguf"), "BASE": Self.base, "DEMO": Self.demo,
      "ONE": "one=\(Self.adapter)", "e=DEMOONE": "e=\(TestPaths.package)/Models/demo/experts/roman.weft",
    ]
    let result = try Weft(arguments.map { values[$0] ?? $0 })
    #expect(result.status == status, "\(result.status) \(result.errors)")
    #expect(result.errors.contains(name) && result.output.isEmpty, "\(result.errors)")
    #expect(try folder.contents.isEmpty)
  }

  @Test func plansAreExplained() throws {
    let prompt = ["--max-tokens", "8", "Write 1994 as a Roman numeral."]
    let mixture = ["--mixture", "roman,numbers:0.25"]
    let side = try Weft(["run"] + mixture + prompt)
    let composite = try Weft(["run", "--plan", "composite", "--explain"] + mixture + prompt)
    #expect(composite.status == 0 && composite.output == side.output, "\(composite.errors)")
    for word in ["side", "composite", "fuse", "not possible: the base is quantised (Q8_0)", "taken: composite", "to decode"] {
      #expect(composite.errors.contains(word), "\(composite.errors)")
    }
    let auto = try Weft(["run", "--plan", "auto", "--explain"] + mixture + prompt)
    #expect(auto.status == 0 && auto.output == side.output && auto.errors.contains("taken: side"), "\(auto.errors)")
  }

  @Test func modelsAreMergedByArgumentsAndByRecipes() throws {
    let models = TestPaths.goldens + "/checkpoint-merge"
    let recipe = """
      merge_method: task_arithmetic
      base_model: \(models)/base
      models:
        - model: \(models)/a
          parameters: {weight: 0.7}
        - model: \(models)/b
          parameters: {weight: -0.4}
      parameters: {lambda: 1.5}
      dtype: float32
      tokenizer_source: base
      """
    try folder.write(Array(recipe.utf8), to: "recipe.yaml")
    let first = try Weft(["merge", folder.file("recipe.yaml"), "--output", folder.file("one")])
    #expect(first.status == 0 && first.output.contains("a, b by task_arithmetic"), "\(first.errors)")
    let second = try Weft([
      "merge", "--method", "task_arithmetic", "--set", "lambda=1.5", "--model", "\(models)/base", "a=\(models)/a:0.7",
      "b=\(models)/b:-0.4", "--output", folder.file("two"),
    ])
    #expect(second.status == 0, "\(second.errors)")
    let (one, two) = (try Checkpoint(path: folder.file("one")), try Checkpoint(path: folder.file("two")))
    let golden = try Golden("checkpoint-merge/task_arithmetic.safetensors")
    for (name, tensor) in golden.file.tensors {
      #expect(one.tensors[name]?.floats() == tensor.floats() && two.tensors[name]?.floats() == tensor.floats(), "\(name)")
    }
    let refused = try Weft([
      "merge", "--method", "ties", "a=\(models)/a", "b=\(models)/b", "--output", folder.file("three"),
    ])
    #expect(refused.status == 64 && refused.errors.contains("base_model"), "\(refused.errors)")
    #expect(try folder.contents == ["one", "recipe.yaml", "two"])
  }
}
