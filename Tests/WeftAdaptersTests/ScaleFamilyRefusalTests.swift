// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftAdapters
import WeftDeltas
import WeftTensors

@Suite struct ScaleFamilyRefusalTests {
  static let families = ["IA3", "OFT", "BOFT", "HRA", "ROAD", "LN_TUNING", "BEFT", "TRAINABLE_TOKENS"]

  @Test(arguments: families) func theFixturesAreRight(type: String) throws {
    var fixture = try AdapterFixture()
    try fixture.become(type)
    #expect(try fixture.error() == nil)
  }

  @Test(arguments: families) func unknownOptionsAreNamed(type: String) throws {
    try Refusal(type) {
      try $0.become(type, ["an_option_of_next_year": "2"])
    } error: { config, _ in
      .unknownOption(location: config, option: "an_option_of_next_year", found: "2")
    }.check()
  }

  @Test(arguments: families) func infinitiesAreNamed(type: String) throws {
    var fixture = try AdapterFixture()
    try fixture.become(type)
    let name = try #require(fixture.tensors.keys.min())
    let shape = try #require(fixture.tensors[name]?.shape)
    try Refusal(type) {
      try $0.become(type)
      $0.tensors[name] = try Tensor([Float](repeating: .infinity, count: shape.reduce(1, *)), shape: shape)
    } error: { _, tensors in
      .nonFinite(location: tensors, tensor: name, index: 0)
    }.check()
  }

  /// A refusal of a wrong shape of one tensor.
  static func shape(
    _ type: String, _ parameter: String, expected: [Int], found: [Int], _ options: [String: String] = [:]
  ) -> Refusal {
    Refusal("\(type): \(parameter) \(found)") {
      try $0.become(type, options)
      try $0.add(parameter, found)
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: AdapterFixture.path(0, parameter), expected: expected, found: found)
    }
  }

  /// A refusal of a file without a tensor.
  static func missing(_ type: String, _ parameter: String) -> Refusal {
    Refusal("\(type): no \(parameter)") {
      try $0.become(type)
      $0.tensors[AdapterFixture.path(1, parameter)] = nil
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: AdapterFixture.path(1, parameter))
    }
  }

  /// A refusal of a tensor for a module that the config does not name.
  static func unused(_ type: String, _ parameter: String, _ shape: [Int]) -> Refusal {
    Refusal("\(type): \(parameter) as well") {
      try $0.become(type)
      $0.tensors[AdapterFixture.path(1, parameter)] = try AdapterFixture.ones(shape)
    } error: { _, tensors in
      .unusedTensor(location: tensors, tensor: AdapterFixture.path(1, parameter))
    }
  }

  /// A refusal of an option's value.
  static func option(_ type: String, _ option: String, _ value: String, expected: String, found: String? = nil) -> Refusal {
    Refusal("\(type): \(option) \(value)") {
      try $0.become(type, [option: value])
    } error: { config, _ in
      .malformedOption(location: config, option: option, expected: expected, found: found ?? value)
    }
  }

  static let refusals = [
    shape("IA3", "self_attn.q_proj.ia3_l", expected: [6, 1], found: [4, 1]),
    shape("IA3", "mlp.down_proj.ia3_l", expected: [1, 5], found: [5, 1]),
    shape("IA3", "self_attn.q_proj.ia3_l", expected: [1, 4], found: [6, 1], ["feedforward_modules": "\".*(q|down)_proj\""]),
    missing("IA3", "self_attn.q_proj.ia3_l"), missing("IA3", "mlp.down_proj.ia3_l"),
    unused("IA3", "self_attn.k_proj.ia3_l", [3, 1]),
    option(
      "IA3", "feedforward_modules", "\"(\"", expected: "a regular expression",
      found: "'(' (missing closing parenthesis at byte 22)"),
    option("IA3", "feedforward_modules", "[7]", expected: "text or an array of texts", found: "7"),

    shape("OFT", "self_attn.q_proj.oft_R.weight", expected: [2, 1], found: [1, 1]),
    shape("OFT", "self_attn.q_proj.oft_R.weight", expected: [1, 1], found: [2, 1], ["block_share": "true"]),
    shape("OFT", "self_attn.q_proj.oft_R.weight", expected: [2, 1], found: [1, 6]),
    shape("OFT", "self_attn.q_proj.oft_R.weight", expected: [2, 1], found: [2, 5]),
    missing("OFT", "self_attn.q_proj.oft_R.weight"), unused("OFT", "self_attn.v_proj.oft_R.weight", [2, 1]),
    Refusal("OFT: two sizes") {
      try $0.become("OFT", ["r": "2"])
    } error: { config, _ in
      .malformedOption(location: config, option: "oft_block_size", expected: "0, as r is 2", found: "2")
    },
    option("OFT", "oft_block_size", "0", expected: "at least 1, as r is 0"),
    option("OFT", "num_cayley_neumann_terms", "0", expected: "an integer of at least 1"),
    option("OFT", "num_cayley_neumann_terms", "1000000", expected: "at most 100"),
    option("OFT", "use_cayley_neumann", "\"yes\"", expected: "true or false"),
    option("OFT", "bias", "\"some\"", expected: "\"none\", \"all\" or \"<family>_only\""),
    Refusal("OFT: the embedding without a tensor") {
      try $0.become("OFT", ["target_modules": "[\"q_proj\", \"embed_tokens\"]"])
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "base_model.model.model.embed_tokens.oft_embedding_R.weight")
    },
    Refusal("OFT: the form before peft 0.14") {
      try $0.become("OFT")
      try $0.add("self_attn.q_proj.oft_r", [1, 4, 4])
    } error: { _, tensors in
      .notReproducible(
        location: tensors,
        reason:
          "tensors named oft_r are OFT as peft had it before 0.14, which has other formulas and which peft itself refuses",
        remedy: "merge the adapter with peft 0.13, or train it again")
    },

    shape("BOFT", "self_attn.q_proj.boft_R", expected: [1, 2, 2, 2], found: [1, 1, 4, 4]),
    shape("BOFT", "self_attn.q_proj.boft_R", expected: [1, 2, 2, 2], found: [2, 2, 2, 2]),
    shape("BOFT", "self_attn.q_proj.boft_s", expected: [6, 1], found: [6]),
    missing("BOFT", "self_attn.q_proj.boft_R"), missing("BOFT", "self_attn.q_proj.boft_s"),
    unused("BOFT", "self_attn.v_proj.boft_R", [1, 2, 2, 2]),
    option("BOFT", "boft_block_size", "3", expected: "a divisor of the width 4"),
    Refusal("BOFT: two sizes") {
      try $0.become("BOFT", ["boft_block_num": "2"])
    } error: { config, _ in
      .malformedOption(location: config, option: "boft_block_size", expected: "0, as boft_block_num is 2", found: "2")
    },
    Refusal("BOFT: more levels than blocks") {
      try $0.become("BOFT", ["boft_n_butterfly_factor": "3"])
      try $0.add("self_attn.q_proj.boft_R", [3, 2, 2, 2])
    } error: { config, _ in
      .malformedOption(
        location: config, option: "boft_n_butterfly_factor", expected: "levels that divide 2 blocks of an even size", found: "3"
      )
    },

    shape("HRA", "self_attn.q_proj.hra_u", expected: [4, 1], found: [6, 1]),
    shape("HRA", "self_attn.q_proj.hra_u", expected: [4, 1], found: [4, 2]),
    missing("HRA", "self_attn.q_proj.hra_u"), unused("HRA", "self_attn.k_proj.hra_u", [4, 1]),
    option("HRA", "r", "0", expected: "an integer of at least 1"), option("HRA", "apply_GS", "2", expected: "true or false"),
    Refusal("HRA: no direction") {
      try $0.become("HRA")
      $0.tensors[AdapterFixture.path(0, "self_attn.q_proj.hra_u")] = try Tensor([0, 0, 0, 0], shape: [4, 1])
    } error: { _, tensors in
      .part(
        location: tensors, part: AdapterFixture.path(0, "self_attn.q_proj.hra_u"),
        .malformed(factor: "hra_u", expected: "columns that are not zero", found: "others"))
    },
    Refusal("HRA: one direction twice") {
      try $0.become("HRA", ["r": "2", "apply_GS": "true"])
      try $0.add("self_attn.q_proj.hra_u", [4, 2])
    } error: { _, tensors in
      .part(
        location: tensors, part: AdapterFixture.path(0, "self_attn.q_proj.hra_u"),
        .malformed(factor: "hra_u", expected: "independent columns", found: "others"))
    },

    shape("ROAD", "self_attn.q_proj.road_theta", expected: [3], found: [6]),
    shape("ROAD", "self_attn.q_proj.road_theta", expected: [6], found: [3], ["variant": "\"road_2\""]),
    shape("ROAD", "self_attn.q_proj.road_theta", expected: [12], found: [3], ["variant": "\"road_4\""]),
    missing("ROAD", "self_attn.q_proj.road_theta"), missing("ROAD", "self_attn.q_proj.road_alpha"),
    unused("ROAD", "mlp.up_proj.road_theta", [2]),
    option("ROAD", "variant", "\"road_3\"", expected: "road_1 or road_2 or road_4"),
    option("ROAD", "group_size", "3", expected: "an even number"),
    option("ROAD", "group_size", "4", expected: "a divisor of the outputs of model.layers.0.self_attn.q_proj"),

    shape("LN_TUNING", "input_layernorm.ln_tuning_layers.weight", expected: [4], found: [5]),
    missing("LN_TUNING", "input_layernorm.ln_tuning_layers.weight"),
    unused("LN_TUNING", "post_attention_layernorm.ln_tuning_layers.weight", [4]),
    Refusal("LN_TUNING: a bias of a norm without one") {
      try $0.become("LN_TUNING")
      try $0.add("input_layernorm.ln_tuning_layers.bias", [4])
    } error: { _, tensors in
      .unusedTensor(location: tensors, tensor: AdapterFixture.path(0, "input_layernorm.ln_tuning_layers.bias"))
    },
    Refusal("LN_TUNING: a module that is no norm") {
      try $0.become("LN_TUNING")
      try $0.add("self_attn.q_proj.ln_tuning_layers.weight", [6, 4])
    } error: { _, tensors in
      .unknownTensor(
        location: tensors, tensor: AdapterFixture.path(0, "self_attn.q_proj.ln_tuning_layers.weight"),
        expected: "a norm of this base, such as model.layers.0.input_layernorm")
    },

    shape("BEFT", "self_attn.q_proj.beft_bias", expected: [1, 6], found: [6]),
    missing("BEFT", "self_attn.q_proj.beft_bias"), unused("BEFT", "self_attn.k_proj.beft_bias", [1, 3]),

    option("TRAINABLE_TOKENS", "token_indices", "[3, 7]", expected: "rows below 7", found: "7"),
    option("TRAINABLE_TOKENS", "token_indices", "[3, -1]", expected: "rows below 7", found: "-1"),
    option("TRAINABLE_TOKENS", "token_indices", "[3, 3]", expected: "every row once", found: "a row twice"),
    option("TRAINABLE_TOKENS", "token_indices", "[]", expected: "an array of rows", found: "an array"),
    Refusal("TRAINABLE_TOKENS: other rows than tensors") {
      try $0.become("TRAINABLE_TOKENS", ["token_indices": "[3]"])
    } error: { _, tensors in
      .wrongShape(
        location: tensors, tensor: "base_model.model.model.embed_tokens.trainable_tokens_delta", expected: [1, 4],
        found: [2, 4])
    },
    Refusal("TRAINABLE_TOKENS: no tensor of the head") {
      try $0.become("TRAINABLE_TOKENS", ["target_modules": "[\"embed_tokens\", \"lm_head\"]"])
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "base_model.model.lm_head.trainable_tokens_delta")
    },
    Refusal("TRAINABLE_TOKENS: a head that is not named") {
      try $0.become("TRAINABLE_TOKENS")
      $0.tensors["base_model.model.lm_head.trainable_tokens_delta"] = try AdapterFixture.ones([2, 4])
    } error: { _, tensors in
      .unknownTensor(
        location: tensors, tensor: "base_model.model.lm_head.trainable_tokens_delta",
        expected: "tensors of Trainable tokens for modules of this base")
    },
  ]

  @Test(arguments: refusals) func refused(_ refusal: Refusal) throws { try refusal.check() }

  /// What is stored beside a network of its own is no change of the base.
  @Test func shadowIsRefusedWithAReason() throws {
    var fixture = try AdapterFixture()
    fixture.config["peft_type"] = "\"SHADOW\""
    let error = try #require(try fixture.error())
    #expect(error.contains("SHADOW") && error.contains("a network of its own"), "\(error)")
  }
}
