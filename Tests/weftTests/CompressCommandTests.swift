// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTensors

@Suite("weft compress")
struct CompressCommandTests {
  private let folder: TemporaryFolder
  private static let demo = TestPaths.package + "/Models/demo"

  init() throws { folder = try TemporaryFolder() }

  /// A LoRA of the demo model on q_proj, k_proj and v_proj of its first layer.
  private func adapter() throws -> String {
    var generator = SeededGenerator(seed: 11)
    var tensors: [String: Tensor] = [:]
    for name in ["q_proj", "k_proj", "v_proj"] {
      let path = "base_model.model.model.layers.0.self_attn.\(name)"
      tensors["\(path).lora_A.weight"] = try Tensor(generator.floats(8 * 256), shape: [8, 256])
      tensors["\(path).lora_B.weight"] = try Tensor(generator.floats(256 * 8), shape: [256, 8])
    }
    let config = """
      {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "k_proj", "v_proj"], "layers_to_transform": [0]}
      """
    try folder.write(Array(config.utf8), to: "small/adapter_config.json")
    try SafetensorsWriter.write(tensors, metadata: [:], to: folder.file("small/adapter_model.safetensors"))
    return folder.file("small")
  }

  private func run(_ arguments: [String]) throws -> Weft {
    try Weft(["compress"] + arguments + ["--model", Self.demo + "/base.gguf"])
  }

  @Test func aPackThatIsRead() throws {
    let (path, pack) = (try adapter(), folder.file("small.weft"))
    let made = try run([path, "--method", "ternary", "--density", "0.2", "--alpha", "2", "--output", pack])
    #expect(made.status == 0 && made.errors.isEmpty, "\(made.errors)")
    #expect(made.output.contains("times smaller than F16") && made.output.contains("q_proj"), "\(made.output)")
    let file = try PackFile(path: pack)
    #expect(file.members.map(\.name) == ["small"] && file.provenance.method == "compress")
    #expect(file.tensors.allSatisfy { $0.dtype == .ternary })
    let inspected = try Weft(["inspect", pack, "--model", Self.demo + "/base.gguf"])
    #expect(inspected.status == 0, "\(inspected.errors)")
  }

  @Test func measuresWithQuestions() throws {
    let questions = folder.file("questions.jsonl")
    try folder.write(Array(#"{"prompt": "Sort b a", "answer": "a b"}"#.utf8), to: "questions.jsonl")
    let made = try run([
      try adapter(), "--method", "low-rank", "--rank", "4", "--data", questions, "--output", folder.file("x.weft"), "--json",
    ])
    #expect(made.status == 0, "\(made.errors)")
    let json = try JSON(parsing: made.output, location: "output")
    #expect(json["questions"]?.int == 1 && json["before"]?["loss"]?.double != nil && json["after"]?["loss"]?.double != nil)
    #expect(json["layers"]?.array?.count == 1)
  }

  @Test func fitsATargetSize() throws {
    let (path, pack) = (try adapter(), folder.file("x.weft"))
    let made = try run([path, "--target-size", "3K", "--output", pack])
    #expect(made.status == 0, "\(made.errors)")
    let size = try #require(try FileManager.default.attributesOfItem(atPath: pack)[.size] as? Int)
    #expect(size <= 3000 && size > 2500, "\(size)")
  }

  @Test func methodsOfModules() throws {
    let pack = folder.file("x.weft")
    let made = try run([try adapter(), "--method", "ternary-fit", "--module", "q_proj=low-rank:rank=2", "--output", pack])
    #expect(made.status == 0, "\(made.errors)")
    #expect(Set(try PackFile(path: pack).tensors.map(\.dtype)) == [.f16, .ternary])
  }

  @Test func librariesOfSeveral() throws {
    let path = try adapter()
    for (method, option) in [("shared-basis", ["--rank", "8"]), ("mask", ["--lambda", "0.4"])] {
      let pack = folder.file("\(method).weft")
      let made = try run(["a=\(path)", "b=\(path)", "--method", method, "--output", pack] + option)
      #expect(made.status == 0 && made.output.contains("2 adapters"), "\(made.errors)")
      #expect(try PackFile(path: pack).members.map(\.name) == ["a", "b"])
    }
  }

  @Test func wrongInputIsRefusedAndNothingIsWritten() throws {
    let (path, pack) = (try adapter(), folder.file("x.weft"))
    for (arguments, text) in [
      ([path, "--method", "zip"], "expected ternary"), ([path, "--method", "ternary", "--density", "2"], "density"),
      ([path, "--method", "auto"], "--target-size"), ([path, "--max-loss", "1%"], "--data"),
      ([path, "--target-size", "40"], "--target-size"), ([path, "--module", "z_proj=f16"], "z_proj"),
      ([folder.file("none")], "none"), ([path, path], "one adapter"),
      (["a=\(path)", "--method", "shared-basis"], "at least two"), ([path, "--limit", "2"], "--limit: expected --data"),
      (["a=\(path)", "b=\(path)", "--method", "mask", "--rank", "2"], "--rank: expected a method that has it, found mask"),
      (["a=\(path)", "b=\(path)", "--method", "shared-basis", "--name", "x"], "--name"),
      ([path, "--target-size", "40K", "--density", "0.2"], "--density: expected a method that has it, found auto"),
      ([path, "--method", "ternary", "--lambda", "0.2"], "--lambda: expected a method that has it, found ternary"),
      ([path, "--adapter-option", "x:alpha=2"], "--adapter-option: expected one for"),
    ] {
      let made = try run(arguments + ["--output", pack])
      #expect(made.status != 0 && made.errors.contains(text), "\(arguments): \(made.errors)")
      #expect(!FileManager.default.fileExists(atPath: pack))
    }
  }
}
