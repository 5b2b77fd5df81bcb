// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTensors

@Suite("The command line")
struct CommandLineTests {
  // MARK: Help and errors

  @Test(arguments: [
    [], ["chat"], ["run"], ["inspect"], ["tokenize"], ["logits"], ["router"], ["router", "train"], ["router", "eval"],
    ["router", "show"], ["eval"], ["bench"], ["quantize"], ["convert"], ["perplexity"], ["imatrix"],
  ])
  func helpHasExamples(command: [String]) throws {
    let help = try Weft(command + ["--help"])
    #expect(help.status == 0)
    #expect(help.output.contains("\n  weft \(command.joined(separator: " "))"), "\(help.output)")
  }

  /// Arguments, the exit code that CONTRIBUTING lists for them, and what the message names.
  @Test(arguments: [
    (["nope"], 64, "nope"),
    (["run", "--temperature", "warm", "x"], 64, "--temperature"),
    (["run", "--adapter", "=path", "x"], 64, "--adapter"),
    (["run", "--model", "/absent.gguf", "x"], 66, "/absent.gguf"),
    (["run", "--model", #filePath, "x"], 69, "CommandLineTests.swift"),
    (["chat", "--model", "/absent.gguf"], 66, "/absent.gguf"),
    (["tokenize"], 64, "--stdin"),
    (["tokenize", "--model", "/absent.gguf", "x"], 66, "/absent.gguf"),
    (["logits", "--tokens", "1,x", "--output", "/x"], 64, "--tokens"),
    (["inspect", "/absent"], 66, "/absent"),
    (["eval", "--model", "/absent.gguf"], 66, "/absent.gguf"),
    (["router", "show", "--model", "/absent.gguf", "x"], 66, "/absent.gguf"),
  ])
  func refusals(arguments: [String], status: Int32, name: String) throws {
    let result = try Weft(arguments)
    #expect(result.status == status, "\(result.errors)")
    #expect(result.errors.contains(name) && result.output.isEmpty)
  }

  @Test(
    .needsSharedData,
    arguments: [
      (["run", "--temperature=-1", "x"], 64, "temperature"),
      (["run", "--adapter", "chef", "x"], 66, "chef"),
      (["run", "--mixture", "chef", "x"], 66, "chef"),
      (["run", "--mixture", "chef@x", "x"], 64, "character 6"),
      (["run", "--adapter", "chef=/absent", "x"], 66, "/absent"),
      (["run", "--router", "/absent", "x"], 66, "/absent"),
      (["run", "--system", "Be brief.", "x"], 64, "--system"),
      (["run", "--context", "2", "Once upon a time"], 64, "context"),
      (["run"], 64, "prompt"), (["run", ""], 64, "prompt"),
      (["chat"], 69, "chat template"),
      (["logits", "--tokens", "1,9999", "--output", "/x"], 64, "9999"),
      (["logits", "--tokens", "1", "--output", "/absent/x"], 73, "/absent/x"),
      (["router", "train", "--data", "/absent", "--output", "/x"], 66, "/absent"),
      (["eval"], 64, "--data"),
    ])
  func refusalsOfAModel(arguments: [String], status: Int32, name: String) throws {
    let result = try Weft(arguments + ["--model", Weft.stories])
    #expect(result.status == status, "\(result.errors)")
    #expect(result.errors.contains(name) && result.output.isEmpty)
  }

  // MARK: Text

  /// The first case of llama.cpp's own vectors that is a plain line.
  @Test(.needsSharedData) func tokenizeReadsAVocabulary() throws {
    let path = TestPaths.sharedData("tokenizers/ggml-vocab/ggml-vocab-phi-3.gguf")
    let texts = try String(contentsOfFile: path + ".inp", encoding: .utf8).components(separatedBy: "\n__ggml_vocab_test__\n")
    let ids = try String(contentsOfFile: path + ".out", encoding: .utf8).components(separatedBy: "\n")
    let place = try #require(texts.firstIndex(of: "Hello world"))
    let result = try Weft(["tokenize", "--model", path, "--stdin", "--ids", "--no-special"], input: texts[place])
    #expect(result.output.trimmingCharacters(in: .whitespacesAndNewlines) == ids[place].trimmingCharacters(in: .whitespaces))
    let pieces = try Weft(["tokenize", "--model", path, "Hello"])
    #expect(pieces.output.split(separator: "\n").last == "15043  \"▁Hello\"", "\(pieces.output)")
  }

  /// Greedy ids of an independent forward pass, from the begin token on, through text and back.
  @Test(.needsSharedData) func runFollowsTheReference() throws {
    let reference = try JSON(file: TestPaths.sharedData("models/reference_logits.json"))
    let ids = try #require(reference["stories260K"]?["greedy_from_bos"]?.array).compactMap(\.int)
    let result = try Weft(
      ["run", "--model", Weft.stories, "--no-template", "--temperature", "0", "--json", "--max-tokens", "24"], input: "Once")
    #expect(result.status == 0)
    let report = try JSON(parsing: result.output, location: "run --json")
    let text = try #require(report["text"]?.string)
    let prompt = try Weft(["tokenize", "--model", Weft.stories, "--ids", "Once" + text])
    let tokens = prompt.output.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
    #expect(tokens.prefix(20).elementsEqual(ids.prefix(20)), "\(tokens) \(ids)")
    #expect(report["finish_reason"]?.string == "length" && report["completion_tokens"]?.int == 24)
    #expect(report["mixture"]?.array?.isEmpty == true && report["prompt_tokens"]?.int == 2)
    #expect(try #require(report["timings"]?["tokens_per_second"]?.double) > 0)
  }

  @Test(.needsSharedData) func runIsPlainInAPipe() throws {
    let arguments = ["run", "--model", Weft.stories, "--seed", "5", "--max-tokens", "20", "Once upon a time"]
    let (first, second) = (try Weft(arguments), try Weft(arguments))
    #expect(first.status == 0 && first.output == second.output && first.output.count > 10)
    #expect(first.errors.isEmpty && !first.output.contains("\u{1B}"))
  }

  // MARK: Files

  @Test(.needsSharedData) func logitsFollowTheReference() throws {
    let folder = try TemporaryFolder()
    let reference = try #require(try JSON(file: TestPaths.sharedData("models/reference_logits.json"))["stories260K"])
    let ids = try #require(reference["input_ids"]?.array).compactMap(\.int)
    let output = folder.file("logits.safetensors")
    let tokens = ids.map { "\($0)" }.joined(separator: ",")
    #expect(
      try Weft(["logits", "--model", Weft.stories, "--tokens", tokens, "--output", output, "--kv-type", "f32"]).status == 0)
    let tensor = try #require(try SafetensorsFile(path: output).tensors["logits"])
    #expect(tensor.shape == [ids.count, 512])
    let logits = referenceFloats(tensor)
    let likeliest = (0..<ids.count).map { row in
      (0..<512).max { logits[row * 512 + $0] < logits[row * 512 + $1] }
    }
    #expect(likeliest == (try #require(reference["argmax_per_pos"]?.array).map(\.int)))
    let last = try #require(reference["last_logits_f64"]?.array).compactMap { $0.double.map { Float($0) } }
    // Measured: 4.1e-7.
    #expect(relativeError(Array(logits.suffix(512)), last) < 8.2e-7)
  }

  /// An adapter of peft under a base of transformers, with its full weight and with a part of it.
  @Test func logitsOfAnAdapter() throws {
    let folder = try TemporaryFolder()
    let golden = try Golden("adapters/plain/expected.safetensors")
    let base = try Golden("logits/gqa-tied/logits.safetensors")
    let expected = try golden.floats("logits")
    let tokens = try golden.integers("tokens").map { "\($0)" }.joined(separator: ",")
    func logits(_ weight: String) throws -> [Float] {
      let result = try Weft([
        "logits", "--model", TestPaths.goldens + "/logits/gqa-tied", "--adapter",
        "plain=\(TestPaths.goldens)/adapters/plain\(weight)", "--tokens", tokens, "--output", folder.file("logits.safetensors"),
        "--kv-type", "f32",
      ])
      #expect(result.status == 0, "\(result.errors)")
      return referenceFloats(try #require(try SafetensorsFile(path: folder.file("logits.safetensors")).tensors["logits"]))
    }
    let (adapted, plain) = (try logits(""), try logits(":0"))
    // Measured: 1.7e-6 with the adapter, 2.2e-6 without.
    #expect(relativeError(adapted, expected) < 3.4e-6)
    #expect(relativeError(plain, try base.floats("logits")) < 4.4e-6)
    #expect(relativeError(try logits(":0.5"), expected) > 1e-3)
  }

  @Test(.needsSharedData) func inspectShowsWhatIsThere() throws {
    let model = try Weft(["inspect", Weft.stories]).output
    #expect(model.contains("GGUF model") && model.contains("llama.block_count") && model.contains("blk.*.attn_q.weight"))
    #expect(model.contains("[64, 64]") && model.contains("F32"))
    let adapter = try Weft(["inspect", TestPaths.goldens + "/adapters/plain"]).output
    #expect(adapter.contains("LoRA adapter") && adapter.contains("lora_alpha") && adapter.contains("lora_A.weight"))
    #expect(adapter.contains("norm of layer 0"))
    let folder = try Weft(["inspect", TestPaths.sharedData("models/stories260K/hf")]).output
    #expect(folder.contains("Hugging Face model") && folder.contains("hidden_size"))
    let vocabulary = try Weft(["inspect", TestPaths.sharedData("tokenizers/ggml-vocab/ggml-vocab-phi-3.gguf")]).output
    #expect(vocabulary.contains("GGUF vocabulary") && vocabulary.contains("an array of 32064 strings"))
  }

  // MARK: Adapters

  private static let families = TestPaths.goldens + "/families"

  @Test func adapterFamilies() throws {
    let table = try Weft(["adapters", "families"])
    #expect(table.status == 0 && table.output.contains("FourierFT") && table.output.contains("refused, with the reason"))
    let rows = try #require(try JSON(parsing: Weft(["adapters", "families", "--json"]).output, location: "families").array)
    #expect(rows.count == table.output.split(separator: "\n").count)
    let lora = try #require(rows.first)
    #expect(lora["name"]?.string == "LoRA" && lora["mixing"]?.string == "sum" && lora["fusable"]?.bool == true)
    #expect(lora["source"]?.string == "https://arxiv.org/abs/2106.09685")
  }

  @Test func adapterChecks() throws {
    let fits = try Weft(["adapters", "check", "--model", Self.families + "/bases/llama", Self.families + "/lora-dora"])
    #expect(fits.status == 0, "\(fits.errors)")
    for text in ["family      LoRA", "operators   low-rank, scale", "q_proj (", "mixing", "layer 0", "resident"] {
      #expect(fits.output.contains(text), "\(text) in \(fits.output)")
    }
    let other = try Weft(["adapters", "check", "--model", Self.families + "/bases/gpt2", Self.families + "/lora-dora"])
    #expect(other.status == 65 && other.output.isEmpty && other.errors.contains("is not known"))
    let refused = try Weft(["adapters", "check", "--model", Self.families + "/bases/llama", Self.families + "/psoft"])
    #expect(refused.status == 69 && refused.errors.contains("convert_to_lora"))
    let useless = try Weft([
      "adapters", "check", "--model", Self.families + "/bases/llama", "--adapter-option", "task=1", Self.families + "/ia3",
    ])
    #expect(useless.status == 64 && useless.errors.contains("task"))
    let nobody = try Weft(["adapters", "check", "--adapter-option", "other:task=1", Self.families + "/ia3"])
    #expect(nobody.status == 64 && nobody.errors.contains("expected one for adapter, found other"), "\(nobody.errors)")
  }

  @Test func inspectOnAModel() throws {
    let found = try Weft(["inspect", "--model", Self.families + "/bases/llama", Self.families + "/ia3"])
    #expect(found.status == 0 && found.output.contains("multiplied or averaged"), "\(found.errors)")
    let plan = try Weft(["inspect", "--plan", "--model", "x", Self.families + "/bases/llama"])
    #expect(plan.status == 64)
  }

  // MARK: Routers

  @Test(.needsSharedData) func routerLearnsAndRepeats() throws {
    let folder = try TemporaryFolder()
    let kinds = ["digits": "1234567890", "letters": "abcdefghij", "none": "?!.,;:-()"]
    var lines: [String] = []
    var generator = SeededGenerator(seed: 11)
    for (name, characters) in kinds.sorted(by: { $0.key < $1.key }) {
      for _ in 0..<20 {
        let prompt = (0..<8).map { _ in String(characters.randomElement(using: &generator) ?? "x") }.joined(separator: " ")
        lines.append("{\"prompt\": \"\(prompt)\", \"adapter\": \"\(name)\"}")
      }
    }
    let data = try folder.write((lines.joined(separator: "\n") + "\n").utf8, to: "prompts.jsonl")
    let model = ["--model", Weft.stories]
    for name in ["one", "two"] {
      let training = try Weft(
        ["router", "train", "--data", data, "--output", folder.file(name), "--seed", "3", "--epochs", "60"] + model)
      #expect(training.status == 0, "\(training.errors)")
      #expect(training.output.contains("100.0 % of 12 held-out prompts right"), "\(training.output)")
      #expect(training.errors.isEmpty)
    }
    #expect(try readBytes(folder.file("one")) == (try readBytes(folder.file("two"))))
    let router = ["--router", folder.file("one")] + model
    let evaluation = try Weft(["router", "eval", "--data", data] + router)
    #expect(evaluation.output.contains("100.0 % of 60 prompts right"), "\(evaluation.output)")
    let shown = try Weft(["router", "show", "4 5 6 1 2 9"] + router).output
    #expect(shown.hasPrefix("digits") && shown.contains("█") && shown.contains("→ digits"), "\(shown)")
    let refused = try Weft(["run", "--max-tokens", "4", "4 5 6"] + router)
    #expect(refused.status == 66 && refused.errors.contains("digits"), "the router's choices are not loaded: \(refused.errors)")
    #expect(try Weft(["inspect", folder.file("one")]).output.contains("digits, letters, none"))
  }

  /// A base that answers one question right, by the text that it was made to continue.
  @Test(.needsSharedData) func evaluationCounts() throws {
    let folder = try TemporaryFolder()
    let answer = try Weft(["run", "--model", Weft.stories, "--temperature", "0", "--max-tokens", "8", "Once upon a time"])
      .output
    let right = "{\"prompt\": \"Once upon a time\", \"answer\": \(JSON.text(answer))}\n"
    try folder.write((right + "{\"prompt\": \"One day\", \"answer\": \"no\"}\n").utf8, to: "eval/tales.jsonl")
    let table = try Weft(["eval", "--model", Weft.stories, "--data", folder.file("eval"), "--max-tokens", "8"])
    #expect(table.status == 0, "\(table.errors)")
    let lines = table.output.split(separator: "\n").map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
    #expect(lines == ["questions base right expert mixture of all", "tales 2 50.0 % - -", "together 2 50.0 % - -"])
  }
}
