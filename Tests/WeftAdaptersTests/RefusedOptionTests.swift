// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftAdapters
import WeftFormats

@Suite struct RefusedOptionTests {
  /// Options that change the arithmetic, which are refused when they are on.
  static let on = [("megatron_config", "{\"a\": 1}", "an object")]

  /// Options that are read, and those that only training reads, each with what is off.
  static let off = [
    "use_dora": "false", "lora_bias": "false", "modules_to_save": "[]", "trainable_token_indices": "[]",
    "layer_replication": "[]", "alora_invocation_tokens": "[]", "use_qalora": "false", "use_bdlora": "{}",
    "kasa_config": "{}", "arrow_config": "{}", "velora_config": "{}", "monteclora_config": "{}", "megatron_config": "\"\"",
    "ensure_weight_tying": "false",
  ]

  @Test(arguments: on) func unsupportedOptionsAreNamed(option: String, value: String, found: String) throws {
    try Refusal(option) {
      $0.config[option] = value
    } error: { config, _ in
      .unsupportedOption(location: config, option: option, expected: "it absent or off", found: found)
    }.check()
  }

  /// A parameter that the base does not have would be adapted by nothing.
  @Test(arguments: ["mlp.experts.gate_up_proj", "gate.weight", "q_proj"]) func unknownParameters(name: String) throws {
    try Refusal(name) {
      $0.config["target_parameters"] = "[\"\(name)\"]"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "target_parameters", expected: "names of parameters of the base", found: "'\(name)'")
    }.check()
  }

  @Test(arguments: [false, true]) func optionsThatAreOffAreAccepted(isNull: Bool) throws {
    var fixture = try AdapterFixture()
    for (option, off) in Self.off { fixture.config[option] = isNull ? "null" : off }
    #expect(try fixture.error() == nil)
  }

  @Test(arguments: ["null", "false", "[]", "{}", "\"\""]) func unknownOptionsThatAreOffAreAccepted(off: String) throws {
    var fixture = try AdapterFixture()
    fixture.config["an_option_of_next_year"] = off
    #expect(try fixture.error() == nil)
  }

  @Test func inertOptionsAreAccepted() throws {
    var fixture = try AdapterFixture()
    let inert = [
      "fan_in_fan_out": "true", "target_parameters": "[]",
      "auto_mapping": "{\"unsloth_fixed\": true}", "revision": "\"main\"", "task_type": "\"CAUSAL_LM\"",
      "inference_mode": "true", "lora_dropout": "0.5", "megatron_core": "\"megatron.core\"", "qalora_group_size": "16",
      "runtime_config": "{\"ephemeral_gpu_offload\": true}", "eva_config": "{\"rho\": 2}", "corda_config": "{\"a\": 1}",
      "loftq_config": "{\"loftq_bits\": 4}", "lora_ga_config": "{\"a\": 1}", "peft_version": "\"9.9\"",
      "use_qalora": "true", "velora_config": "{\"scale\": 1}", "ensure_weight_tying": "true",
    ]
    for (option, value) in inert { fixture.config[option] = value }
    #expect(try fixture.error() == nil)
  }

  @Test(arguments: ["0", "0.5", "true", "\"on\"", "[0]", "{\"a\": null}"])
  func unknownOptionsAreNamed(value: String) throws {
    let found = try JSON(parsing: value, location: "").kind
    try Refusal("unknown") {
      $0.config["an_option_of_next_year"] = value
    } error: { config, _ in
      .unknownOption(location: config, option: "an_option_of_next_year", found: found)
    }.check()
  }

  @Test(arguments: ["true", "false", "null", "\"gaussian\"", "\"orthogonal\"", "\"eva\"", "\"mica\""])
  func initializationsOfLoRAItself(value: String) throws {
    var fixture = try AdapterFixture()
    fixture.config["init_lora_weights"] = value
    #expect(try fixture.error() == nil)
  }

  @Test(arguments: [
    ("pissa_niter_4", "pissa_niter begins with a random singular value decomposition, which even peft does not repeat"),
    ("corda", "CorDA begins with the covariance of its calibration data, which the files do not hold"),
    ("loftq", "LoftQ begins with the error of its own 4-bit quantiser, which the files do not hold"),
    ("lora_ga", "LoRA-GA begins with gradients of its training data, which the files do not hold"),
  ]) func initializationsThatCannotBeRepeated(name: String, reason: String) throws {
    try Refusal(name) {
      $0.config["init_lora_weights"] = "\"\(name)\""
    } error: { config, _ in
      .notReproducible(
        location: config, reason: "init_lora_weights: \(reason)",
        remedy: "save it again in peft with path_initial_model_for_weight_conversion, which makes it a plain LoRA")
    }.check()
  }

  @Test(arguments: ["next_year", "pissa2", "o_lora"]) func unknownInitializations(name: String) throws {
    try Refusal(name) {
      $0.config["init_lora_weights"] = "\"\(name)\""
    } error: { config, _ in
      .unsupportedOption(
        location: config, option: "init_lora_weights",
        expected: "true, false, gaussian, orthogonal, eva, mica, pissa or olora", found: "\"\(name)\"")
    }.check()
  }

  @Test(arguments: ["sometimes", "ALL", "only"]) func unknownBiases(value: String) throws {
    try Refusal(value) {
      $0.config["bias"] = "\"\(value)\""
    } error: { config, _ in
      .malformedOption(
        location: config, option: "bias", expected: "\"none\", \"all\" or \"<family>_only\"", found: "\"\(value)\"")
    }.check()
  }

  @Test(
    arguments: [
      ("peft_type", nil, "the type of the adapter", "nothing"), ("peft_type", "null", "the type of the adapter", "nothing"),
      ("peft_type", "7", "text", "7"),
      ("r", nil, "a rank of at least 1", "nothing"), ("r", "0", "a rank of at least 1", "0"),
      ("r", "-2", "a rank of at least 1", "-2"), ("r", "2.5", "a rank of at least 1", "2.5"),
      ("r", "\"2\"", "a rank of at least 1", "\"2\""), ("r", "1e300", "a rank of at least 1", "1e+300"),
      ("lora_alpha", nil, "a number", "nothing"), ("lora_alpha", "\"4\"", "a number", "\"4\""),
      ("lora_alpha", "1e999", "a number", "inf"),
      ("use_rslora", "\"yes\"", "true or false", "\"yes\""), ("bias", "false", "text", "false"),
      ("rank_pattern", "[1]", "an object", "an array"), ("rank_pattern", "{\"q_proj\": 0}", "a rank of at least 1", "0"),
      ("rank_pattern", "{\"a\": 1, \"a\": 2}", "every key once", "'a' again"),
      ("alpha_pattern", "{\"q_proj\": null}", "a number", "null"),
      ("target_modules", "7", "text or an array of texts", "7"), ("target_modules", "[7]", "text or an array of texts", "7"),
      ("exclude_modules", "[null]", "text or an array of texts", "null"),
      ("layers_to_transform", "\"0\"", "an integer or an array of integers", "\"0\""),
      ("layers_to_transform", "[0.5]", "an integer or an array of integers", "0.5"),
      ("init_lora_weights", "[1]", "true, false or a name", "an array"),
      ("base_model_name_or_path", "{\"a\": 1}", "text", "an object"),
    ] as [(String, String?, String, String)])
  func malformedOptions(option: String, value: String?, expected: String, found: String) throws {
    try Refusal(option) {
      $0.config[option] = value
    } error: { config, _ in
      .malformedOption(location: config, option: option, expected: expected, found: found)
    }.check()
  }

  @Test func layersNeedAList() throws {
    try Refusal("layers with an expression") {
      $0.config["target_modules"] = "\".*q_proj\""
      $0.config["layers_to_transform"] = "[0]"
    } error: { config, _ in
      .malformedOption(
        location: config, option: "layers_to_transform", expected: "target_modules as a list with it", found: "\".*q_proj\"")
    }.check()
  }

  @Test(arguments: ["rank_pattern", "alpha_pattern", "target_modules", "exclude_modules", "layers_pattern"])
  func expressionsAreChecked(option: String) throws {
    let takesKeys = option == "rank_pattern" || option == "alpha_pattern"
    // No module has two digits in a row, which is found out only after an exponential number of ways to read its path.
    for (pattern, expected) in [
      ("q_(proj", "expected a regular expression, found '"), ("(?:.+)+[0-9]{2}", "expected an expression that is matched in"),
      (String(repeating: "a", count: 10_001), "expected an expression of at most 10000 bytes, found 100"),
    ] {
      var fixture = try AdapterFixture()
      fixture.config[option] = takesKeys ? "{\"\(pattern)\": 2}" : "\"\(pattern)\""
      if option == "layers_pattern" { fixture.config["layers_to_transform"] = "[0, 1]" }
      let error = try #require(try fixture.error())
      #expect(error.hasPrefix("FOLDER/adapter_config.json: \(option): \(expected)"), "\(error)")
    }
  }

  @Test(arguments: ["LoRA", "lora", "BONE", "NEXT_YEAR", ""]) func otherFamilies(type: String) throws {
    try Refusal(type) {
      $0.config["peft_type"] = "\"\(type)\""
    } error: { config, _ in
      .unsupportedFamily(location: config, expected: AdapterFamily.all.compactMap(\.peftType), found: type)
    }.check()
  }
}
