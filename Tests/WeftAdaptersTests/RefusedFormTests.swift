// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

/// Wrong adapters in forms that are not peft's: each error names the tensor or option, what is expected, and what was found.
struct RefusedFormTests {
  /// One way to break a fixture, and what the error says.
  struct Row: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let error: String
    let make: @Sendable () throws -> FormFixture

    init(
      _ form: String, _ error: String, from make: @escaping @Sendable () throws -> FormFixture,
      _ change: @escaping @Sendable (inout FormFixture) throws -> Void
    ) {
      testDescription = "\(form): \(error)"
      self.error = error
      self.make = {
        var fixture = try make()
        try change(&fixture)
        return fixture
      }
    }
  }

  static let k = "model.layers.1.self_attn.k_proj"

  // MARK: - Adapters that are right

  @Sendable static func ggufLoRA() throws -> FormFixture {
    var fixture = FormFixture(.gguf)
    fixture.fields = [
      ("general.architecture", .string("llama")), ("general.type", .string("adapter")), ("adapter.type", .string("lora")),
      ("adapter.lora.alpha", .float32(4)),
    ]
    try fixture.set("blk.1.attn_k.weight.lora_a", [2, 32])
    try fixture.set("blk.1.attn_k.weight.lora_b", [16, 2])
    return fixture
  }

  @Sendable static func control() throws -> FormFixture {
    var fixture = FormFixture(.gguf)
    fixture.fields = [("general.architecture", .string("controlvector"))]
    try fixture.set("direction.1", [32])
    return fixture
  }

  @Sendable static func mlx() throws -> FormFixture {
    var fixture = FormFixture(.folder("adapters.safetensors"))
    fixture.config =
      #"{"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": {"rank": 2, "scale": 20.0, "dropout": 0.1}}"#
    try fixture.set("\(k).lora_a", [32, 2])
    try fixture.set("\(k).lora_b", [2, 16])
    return fixture
  }

  @Sendable static func file() throws -> FormFixture {
    var fixture = FormFixture(.single)
    try fixture.set("\(k).lora_A", [2, 32])
    try fixture.set("\(k).lora_B", [16, 2])
    fixture.options.alpha = 4
    return fixture
  }

  @Sendable static func bitDelta() throws -> FormFixture {
    var fixture = FormFixture(.single)
    try fixture.set("\(k).mask", [1, 16], words: Array(-8..<8))
    try fixture.set("\(k).coeff", [], value: 0.5)
    return fixture
  }

  @Sendable static func ssf() throws -> FormFixture {
    var fixture = FormFixture(.single)
    try fixture.set("\(k).ssf_scale", [16])
    try fixture.set("\(k).ssf_shift", [16])
    return fixture
  }

  @Sendable static func nola() throws -> FormFixture {
    var fixture = FormFixture(.single)
    try fixture.set("\(k).nola_alpha", [3])
    try fixture.set("\(k).nola_beta", [4])
    try fixture.set("nola_basis_A.k_proj", [3, 2, 32])
    try fixture.set("nola_basis_B.k_proj", [4, 16, 2])
    return fixture
  }

  @Sendable static func mos() throws -> FormFixture {
    var fixture = FormFixture(.single)
    try fixture.set("\(k).mos_index_A", [2, 4], words: [0, 1, 2, 3, 4, 4, 1, 0])
    try fixture.set("\(k).mos_index_B", [2, 2], words: [0, 1, 2, 2])
    try fixture.set("mos_pool_A.k_proj", [5, 8])
    try fixture.set("mos_pool_B.k_proj", [3, 8])
    return fixture
  }

  @Sendable static func steering() throws -> FormFixture {
    var fixture = FormFixture(.single)
    try fixture.set("layers.0", [32])
    return fixture
  }

  static let bottleneckOptions =
    #""mh_adapter": false, "output_adapter": true, "non_linearity": "relu", "original_ln_before": true, "#
    + #""reduction_factor": 8, "residual_before_ln": true"#
  static let module = "model.layers.1.output_adapters.adapters.chef."

  @Sendable static func bottleneck() throws -> FormFixture {
    var fixture = FormFixture(.folder("adapter.safetensors"))
    fixture.config = "{\"config\": {\(bottleneckOptions)}, \"name\": \"chef\"}"
    try fixture.set(module + "adapter_down.0.weight", [4, 32])
    try fixture.set(module + "adapter_down.0.bias", [4])
    try fixture.set(module + "adapter_up.weight", [32, 4])
    try fixture.set(module + "adapter_up.bias", [32])
    return fixture
  }

  @Sendable static func task() throws -> FormFixture {
    var fixture = FormFixture(.files)
    fixture.files = ["config.json": "{}"]
    fixture.hasWeights = true
    fixture.model = .success(BaseModel(shape: FormFixture.base, values: FormFixture.ones(FormFixture.base, value: 2)))
    return fixture
  }

  @Test(arguments: [
    ("GGUF LoRA", ggufLoRA), ("control vector", control), ("MLX", mlx), ("LoRA file", file), ("BitDelta", bitDelta),
    ("SSF", ssf),
    ("NOLA", nola), ("MoS", mos), ("steering", steering), ("bottleneck", bottleneck), ("task vector", task),
  ])
  func theFixturesAreRight(family: String, make: @Sendable () throws -> FormFixture) throws {
    let adapter = try make().read()
    #expect(adapter.family == family)
    #expect(AdapterFamily.all.contains { $0.name == family })
  }

  // MARK: - What is refused

  static let refusals: [Row] = [
    Row("GGUF LoRA", "PATH: tensor 'blk.1.attn_k.weight.lora_b' is missing", from: ggufLoRA) {
      $0.tensors["blk.1.attn_k.weight.lora_b"] = nil
    },
    Row(
      "GGUF LoRA", "PATH: tensor 'blk.1.attn_k.weight.lora_a': expected shape [2, 32], found [2, 31]", from: ggufLoRA
    ) { try $0.set("blk.1.attn_k.weight.lora_a", [2, 31]) },
    Row(
      "GGUF LoRA", "PATH: tensor 'blk.2.attn_k.weight.lora_a': expected one of the 2 layers of the base", from: ggufLoRA
    ) {
      $0.tensors["blk.2.attn_k.weight.lora_a"] = $0.tensors.removeValue(forKey: "blk.1.attn_k.weight.lora_a")
      $0.tensors["blk.2.attn_k.weight.lora_b"] = $0.tensors.removeValue(forKey: "blk.1.attn_k.weight.lora_b")
    },
    Row(
      "GGUF LoRA",
      "PATH: tensor 'blk.1.attn_k.bias' is not known; expected <base tensor>.lora_a or .lora_b, or a norm's weight",
      from: ggufLoRA
    ) { try $0.set("blk.1.attn_k.bias", [16]) },
    Row("GGUF LoRA", "PATH: adapter.lora.alpha: expected a number, found \"4\"", from: ggufLoRA) {
      $0.fields[3].value = .string("4")
    },
    Row("GGUF LoRA", "PATH: general.type: expected \"adapter\", found \"model\"", from: ggufLoRA) {
      $0.fields[1].value = .string("model")
    },
    Row(
      "GGUF LoRA", "PATH: adapter.alora.invocation_tokens: expected token ids, found an array of 1 integers", from: ggufLoRA
    ) { $0.fields.append(("adapter.alora.invocation_tokens", .int32s([-1]))) },

    Row("control vector", "PATH: tensor 'direction.0' is not known; expected direction.1, direction.2 ...", from: control) {
      try $0.set("direction.0", [32])
    },
    Row("control vector", "PATH: tensor 'direction.2': expected one of the 2 layers of the base", from: control) {
      try $0.set("direction.2", [32])
    },
    Row("control vector", "PATH: tensor 'direction.1': expected shape [32], found [31]", from: control) {
      try $0.set("direction.1", [31])
    },
    Row("control vector", "PATH: layers: expected layers that have a vector, found 0-0", from: control) {
      $0.options.layers = 0...0
    },
    Row("control vector", "PATH: option alpha has no meaning for control vector; expected it absent", from: control) {
      $0.options.alpha = 2
    },

    Row("MLX", "PATH/adapter_config.json: lora_parameters: expected an object with rank and scale, found nothing", from: mlx) {
      $0.config = #"{"fine_tune_type": "lora"}"#
    },
    Row("MLX", "PATH/adapter_config.json: lora_parameters: scale: expected a number, found nothing", from: mlx) {
      $0.config = #"{"lora_parameters": {"rank": 2}}"#
    },
    Row(
      "MLX",
      "PATH/adapter_config.json: lora_parameters: option rslora is not known and could change the result; expected it absent "
        + "or off, found true", from: mlx
    ) { $0.config = #"{"lora_parameters": {"rank": 2, "scale": 1, "rslora": true}}"# },
    Row(
      "MLX",
      "PATH/adapter_config.json: fine_tune_type \"lokr\" is not supported; expected \"lora\", \"dora\" or \"full\"", from: mlx
    ) { $0.config = #"{"fine_tune_type": "lokr"}"# },
    Row("MLX", "PATH/adapters.safetensors: tensor '\(k).lora_b' is missing", from: mlx) { $0.tensors["\(k).lora_b"] = nil },
    Row(
      "MLX", "PATH/adapters.safetensors: tensor '\(k).lora_a': expected shape [32, 3], found [16, 3]", from: mlx
    ) { try $0.set("\(k).lora_a", [16, 3]) },
    Row(
      "MLX",
      "PATH/adapters.safetensors: tensor 'model.layers.0.mlp.fc1.lora_a' is not known; expected lora_a or lora_b of a linear "
        + "module of this base, such as model.layers.0.self_attn.q_proj", from: mlx
    ) {
      try $0.set("model.layers.0.mlp.fc1.lora_a", [32, 2])
      try $0.set("model.layers.0.mlp.fc1.lora_b", [2, 32])
    },
    Row("MLX", "PATH/adapters.safetensors: tensor '\(k).m' is missing", from: mlx) {
      $0.config = #"{"fine_tune_type": "dora", "lora_parameters": {"rank": 2, "scale": 1}}"#
    },
    Row(
      "MLX", "PATH/adapters.safetensors: tensor '\(k).m' is not known; expected tensors of MLX for modules of this base",
      from: mlx
    ) { try $0.set("\(k).m", [16]) },

    Row(
      "LoRA file", "PATH: option alpha is needed: '\(k).lora_A' has no .alpha beside it; LoRA's scale is alpha / rank",
      from: file
    ) { $0.options.alpha = nil },
    Row("LoRA file", "PATH: option alpha has no meaning for a file that holds it; expected it absent", from: file) {
      try $0.set("\(k).alpha", [])
    },
    Row("LoRA file", "PATH: tensor '\(k), the B of its pair' is missing", from: file) { $0.tensors["\(k).lora_B"] = nil },
    Row("LoRA file", "PATH: tensor '\(k).lora_A': expected shape [2, 32], found [3, 32]", from: file) {
      try $0.set("\(k).lora_A", [3, 32])
    },
    Row(
      "LoRA file", "PATH: expected one tensor for each factor, found '\(k).lora_A' and '\(k).lora_down.weight'", from: file
    ) { try $0.set("\(k).lora_down.weight", [2, 32]) },
    Row("LoRA file", "PATH: metadata lora_alpha: expected a number, found much", from: file) {
      $0.options.alpha = nil
      $0.metadata["lora_alpha"] = "much"
    },

    Row("BitDelta", "PATH: tensor '\(k).mask': expected shape [1, 16], found [16, 1]", from: bitDelta) {
      try $0.set("\(k).mask", [16, 1], words: Array(0..<16))
    },
    Row("BitDelta", "PATH: tensor '\(k).mask': expected I32, found F32", from: bitDelta) { try $0.set("\(k).mask", [1, 16]) },
    Row("BitDelta", "PATH: tensor 'base_model.model.\(k).mask' is missing", from: bitDelta) { $0.tensors["\(k).mask"] = nil },
    Row("BitDelta", "PATH: tensor '\(k).coeff': expected shape [], found [16]", from: bitDelta) {
      try $0.set("\(k).coeff", [16])
    },
    Row("BitDelta", "PATH: tensor 'lm_head.weight': expected shape [12, 32], found [13, 32]", from: bitDelta) {
      try $0.set("lm_head.weight", [13, 32])
    },

    Row("SSF", "PATH: tensor '\(k).ssf_shift': expected shape [16], found [32]", from: ssf) {
      try $0.set("\(k).ssf_shift", [32])
    },
    Row(
      "SSF",
      "PATH: tensor 'model.norm.ssf_shift' is not known; expected no shift of a norm without a bias (RMSNorm)", from: ssf
    ) { try $0.set("model.norm.ssf_shift", [32]) },
    Row(
      "SSF", "PATH: expected a base with its weights, found only its shape: this adapter changes what the weights are",
      from: ssf
    ) { try $0.set("model.norm.ssf_scale", [32]) },
    Row(
      "SSF",
      "PATH: tensor 'model.layers.2.mlp.up_proj.ssf_scale': expected one of the 2 layers of the base", from: ssf
    ) { try $0.set("model.layers.2.mlp.up_proj.ssf_scale", [64]) },

    Row("NOLA", "PATH: tensor 'nola_basis_A.k_proj' is missing", from: nola) { $0.tensors["nola_basis_A.k_proj"] = nil },
    Row("NOLA", "PATH: tensor '\(k).nola_alpha': expected shape [3], found [2]", from: nola) {
      try $0.set("\(k).nola_alpha", [2])
    },
    Row("NOLA", "PATH: tensor 'nola_basis_B.k_proj': expected shape [4, 16, 2], found [4, 16, 3]", from: nola) {
      try $0.set("nola_basis_B.k_proj", [4, 16, 3])
    },
    Row("NOLA", "PATH: metadata scale: expected a finite number, found inf", from: nola) { $0.metadata["scale"] = "inf" },

    Row("MoS", "PATH: tensor '\(k).mos_index_A': expected 0 to 4 at element 2, found 5", from: mos) {
      try $0.set("\(k).mos_index_A", [2, 4], words: [0, 1, 5, 3, 4, 4, 1, 0])
    },
    Row("MoS", "PATH: tensor 'mos_pool_B.k_proj' is missing", from: mos) { $0.tensors["mos_pool_B.k_proj"] = nil },
    Row("MoS", "PATH: tensor 'mos_pool_A.k_proj': expected shape [5, 8], found [5, 9]", from: mos) {
      try $0.set("mos_pool_A.k_proj", [5, 9])
    },
    Row("MoS", "PATH: tensor '\(k).mos_index_B': expected rank 2, as in the config, found 1", from: mos) {
      try $0.set("\(k).mos_index_B", [1, 2], words: [0, 1])
    },

    Row("steering", "PATH: tensor 'layers.0': expected shape [32], found [16]", from: steering) {
      try $0.set("layers.0", [16])
    },
    Row("steering", "PATH: tensor 'layers.2': expected one of the 2 layers of the base", from: steering) {
      try $0.set("layers.2", [32])
    },
    Row("steering", "PATH: strength: expected a finite number, found inf", from: steering) { $0.options.strength = .infinity },
    Row("steering", "PATH: tensor 'layers.0': expected finite numbers, found infinity or NaN at element 0", from: steering) {
      try $0.set("layers.0", [32], value: .nan)
    },

    Row(
      "bottleneck", "PATH/adapter_config.json: config: expected an object with the options of the adapter, found nothing",
      from: bottleneck
    ) {
      $0.config = "{}"
    },
    Row(
      "bottleneck",
      "PATH/adapter_config.json: config: phm_layer a compacter is not supported; expected plain down and up projections",
      from: bottleneck
    ) { $0.config = "{\"config\": {\(bottleneckOptions), \"phm_layer\": true}}" },
    Row(
      "bottleneck",
      "PATH/adapter_config.json: config: architecture \"lora\" is not supported; expected a bottleneck adapter (none)",
      from: bottleneck
    ) { $0.config = "{\"config\": {\"architecture\": \"lora\"}}" },
    Row(
      "bottleneck", "PATH/adapter_config.json: config: use_gating true is not supported; expected it absent or off",
      from: bottleneck
    ) { $0.config = "{\"config\": {\(bottleneckOptions), \"use_gating\": true}}" },
    Row(
      "bottleneck",
      "PATH/adapter_config.json: config: original_ln_after false is not supported; expected options that keep one residual "
        + "connection", from: bottleneck
    ) { $0.config = "{\"config\": {\(bottleneckOptions), \"original_ln_after\": false}}" },
    Row("bottleneck", "PATH/adapter.safetensors: tensor '\(module)adapter_up.bias' is missing", from: bottleneck) {
      $0.tensors[module + "adapter_up.bias"] = nil
    },
    Row(
      "bottleneck", "PATH/adapter.safetensors: tensor '\(module)adapter_up.weight': expected shape [32, 4], found [32, 5]",
      from: bottleneck
    ) { try $0.set(module + "adapter_up.weight", [32, 5]) },
    Row(
      "bottleneck",
      "PATH/adapter.safetensors: tensor 'model.layers.5.output_adapters.adapters.chef.adapter_up.bias': expected one of the 2 "
        + "layers of the base", from: bottleneck
    ) { try $0.set("model.layers.5.output_adapters.adapters.chef.adapter_up.bias", [32]) },

    Row(
      "task vector", "PATH: expected a base with its weights, found only its shape: this adapter changes what the weights are",
      from: task
    ) { $0.hasWeights = false },
    Row("task vector", "PATH: not readable as a model like the base: no tensors", from: task) {
      $0.model = .failure(BaseModel.OpenError(reason: "no tensors"))
    },
    Row("task vector", "PATH: expected a model that differs from the base, found the same weights", from: task) {
      $0.model = .success(BaseModel(shape: FormFixture.base, values: FormFixture.ones(FormFixture.base)))
    },
    Row("task vector", "PATH: layers: expected 2, as in the base, found 1", from: task) {
      let other = BaseShape.llama(
        layerCount: 1, hiddenSize: 32, queryWidth: 32, keyValueWidth: 16, intermediateSize: 64, vocabularySize: 12,
        headDimension: 8)
      $0.model = .success(BaseModel(shape: other, values: FormFixture.ones(other)))
    },
    Row("task vector", "PATH: layers.0.gate_proj: expected [64, 32], as in the base, found [48, 32]", from: task) {
      let other = BaseShape.llama(
        layerCount: 2, hiddenSize: 32, queryWidth: 32, keyValueWidth: 16, intermediateSize: 48, vocabularySize: 12,
        headDimension: 8)
      $0.model = .success(BaseModel(shape: other, values: FormFixture.ones(other)))
    },
  ]

  @Test(arguments: refusals) func isRefused(row: Row) throws { #expect(try row.make().error() == row.error) }

  // MARK: - Paths

  static let nothing =
    "expected an adapter: adapter_config.json with adapter_model.safetensors, adapters.safetensors, adapter.safetensors; "
    + "config.json of a model; a .safetensors file; a GGUF file; a pack; found "

  static let paths: [(files: [String: String], path: String, error: String)] = [
    ([:], "", "PATH: " + nothing + "an empty folder"),
    (["notes.txt": "x", "b.md": "y"], "", "PATH: " + nothing + "b.md, notes.txt"),
    (
      ["notes.txt": "x"], "/notes.txt",
      "PATH/notes.txt: " + nothing + "a file that begins neither with GGUF nor as a pack, and is not called .safetensors"
    ),
    (
      ["one/adapter_config.json": "{}", "two/adapter_config.json": "{}"], "",
      "PATH: " + nothing + "the folders of several: one, two"
    ),
    (
      ["adapter_config.json": "{}", "adapters.npz": "x"], "",
      "PATH: expected safetensors, found only adapters.npz, a pickle file, which can run code when it is read; to convert it: "
        + "python tools/convert_adapter.py PATH NEW_FOLDER"
    ),
    (
      ["delta.pt": "x"], "/delta.pt",
      "PATH/delta.pt: expected safetensors, found only delta.pt, a pickle file, which can run code when it is read; to convert "
        + "it: python tools/convert_adapter.py PATH/delta.pt NEW_FOLDER"
    ),
    (["adapter_config.json": "{}"], "", "PATH: adapter_model.safetensors is missing"),
  ]

  @Test(arguments: paths) func pathsWithoutAdapters(files: [String: String], path: String, error: String) throws {
    let folder = try TemporaryFolder()
    for (name, text) in files { try folder.write(text.utf8, to: name) }
    do {
      _ = try AdapterReader.read(folder: folder.path + path, name: "tiny", base: BaseModel(shape: FormFixture.base))
      Issue.record("read")
    } catch let found { #expect(found.description.replacing(folder.path, with: "PATH") == error) }
  }

  /// PEFT makes a folder for an adapter that has a name; the one of the adapter's own name is read.
  @Test func folderOfAnAdaptersName() throws {
    for names in [["tiny"], ["other"], ["other", "tiny"]] {
      let folder = try TemporaryFolder()
      for name in names {
        let fixture = try AdapterFixture()
        let members = fixture.config.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
        try folder.write("{\(members.joined(separator: ", "))}".utf8, to: "\(name)/adapter_config.json")
        try SafetensorsWriter.write(fixture.tensors, to: folder.file("\(name)/adapter_model.safetensors"))
      }
      let adapter = try AdapterReader.read(folder: folder.path, name: "tiny", base: BaseModel(shape: AdapterFixture.base))
      #expect(adapter.family == "LoRA")
    }
  }

  /// A safetensors file without any family's names says what would be known.
  @Test func marksAreListed() throws {
    var fixture = FormFixture(.single)
    try fixture.set("weights", [3])
    let error = try #require(try fixture.error())
    #expect(error.hasPrefix("PATH: expected the marks of a family (") && error.contains("GGUF with adapter.type = lora; "))
    #expect(error.contains("a safetensors file with *.nola_alpha or *.nola_beta"))
  }

  @Test func taskVectorFormsAsText() {
    for (text, form) in [("dense", TaskVectorForm.dense), ("sparse:0.2", .sparse(share: 0.2)), ("rank:4", .lowRank(4))] {
      #expect(TaskVectorForm(parsing: text) == form && form.description == text)
    }
    for text in ["", "dense:1", "sparse", "sparse:0", "sparse:1.5", "sparse:nan", "rank:0", "rank:-1", "rank:x", "svd:4"] {
      #expect(TaskVectorForm(parsing: text) == nil)
    }
  }
}
