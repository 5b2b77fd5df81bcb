// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftTensors

@Suite struct PromptFamilyRefusalTests {
  static let families = [
    "PROMPT_TUNING", "P_TUNING", "CPT", "MULTITASK_PROMPT_TUNING", "PREFIX_TUNING", "CARTRIDGE", "ADAPTION_PROMPT",
  ]
  static let prompts = families.filter { $0 != "ADAPTION_PROMPT" }
  static let embeddings = ["PROMPT_TUNING", "P_TUNING", "CPT", "MULTITASK_PROMPT_TUNING"]
  static let prefixes = ["PREFIX_TUNING", "CARTRIDGE"]

  @Test(arguments: prompts) func theFixturesAreRight(type: String) throws {
    var fixture = try AdapterFixture()
    try fixture.become(type)
    if type == "MULTITASK_PROMPT_TUNING" { fixture.config["num_tasks"] = "1" }
    if type == "MULTITASK_PROMPT_TUNING" {
      fixture.tensors["prefix_task_cols"] = try AdapterFixture.ones([1, 3, 1])
      fixture.tensors["prefix_task_rows"] = try AdapterFixture.ones([1, 1, 4])
    }
    #expect(try fixture.read().deltas.prompt?.count == 3)
  }

  @Test(arguments: families) func unknownOptionsAreNamed(type: String) throws {
    try Refusal(type) {
      try $0.become(type, ["an_option_of_next_year": "2"])
    } error: { config, _ in
      .unknownOption(location: config, option: "an_option_of_next_year", found: "2")
    }.check()
  }

  @Test(arguments: prompts) func missingPromptsAreNamed(type: String) throws {
    try Refusal(type) {
      try $0.become(type)
      $0.rename("prompt_embeddings", "prompts")
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: "prompt_embeddings")
    }.check()
  }

  @Test(arguments: prompts) func surplusTensorsAreNamed(type: String) throws {
    try Refusal(type) {
      try $0.become(type, type == "MULTITASK_PROMPT_TUNING" ? ["num_tasks": "1"] : [:])
      if type == "MULTITASK_PROMPT_TUNING" {
        $0.tensors["prefix_task_cols"] = try AdapterFixture.ones([1, 3, 1])
        $0.tensors["prefix_task_rows"] = try AdapterFixture.ones([1, 1, 4])
      }
      $0.tensors["more_embeddings"] = try AdapterFixture.ones([3, 4])
    } error: { _, tensors in
      .unknownTensor(
        location: tensors, tensor: "more_embeddings", expected: "tensors of \(Self.name(of: type)) for modules of this base")
    }.check()
  }

  static func name(of type: String) -> String { AdapterFamily.all.first { $0.peftType == type }?.name ?? "no family" }

  static func check(
    _ type: String, _ change: @escaping @Sendable (inout AdapterFixture) throws -> Void,
    _ error: @escaping @Sendable (String, String) -> AdapterError
  ) throws {
    try Refusal(type) {
      try $0.become(type)
      try change(&$0)
    } error: {
      error($0, $1)
    }.check()
  }

  @Test(arguments: embeddings) func embeddingsOfAnotherShape(type: String) throws {
    for found in [[3, 5], [2, 4], [3], [3, 4, 1]] {
      try Self.check(type) {
        $0.tensors["prompt_embeddings"] = try AdapterFixture.ones(found)
      } _: { _, tensors in
        .wrongShape(location: tensors, tensor: "prompt_embeddings", expected: [3, 4], found: found)
      }
    }
    try Self.check(type) {
      $0.config["token_dim"] = "8"
    } _: { config, _ in
      .malformedOption(location: config, option: "token_dim", expected: "4, as the base has", found: "8")
    }
  }

  @Test(arguments: prefixes) func prefixesOfAnotherShape(type: String) throws {
    for found in [[3, 24], [3, 6], [2, 12]] {
      try Self.check(type) {
        $0.tensors["prompt_embeddings"] = try AdapterFixture.ones(found)
      } _: { _, tensors in
        .wrongShape(location: tensors, tensor: "prompt_embeddings", expected: [3, 12], found: found)
      }
    }
    for (option, value, expected) in [("num_layers", "3", "2"), ("num_attention_heads", "6", "3"), ("token_dim", "4", "3")] {
      try Self.check(type) {
        $0.config[option] = value
      } _: { config, _ in
        .malformedOption(location: config, option: option, expected: "\(expected), as the base has", found: value)
      }
    }
  }

  @Test(arguments: prompts) func promptsOfEncodersAndDecoders(type: String) throws {
    try Self.check(type) {
      $0.config["num_transformer_submodules"] = "2"
    } _: { config, _ in
      .unsupportedOption(
        location: config, option: "num_transformer_submodules", expected: "1: a decoder alone", found: "2")
    }
    try Self.check(type) {
      $0.config["num_virtual_tokens"] = "0"
    } _: { config, _ in
      .malformedOption(location: config, option: "num_virtual_tokens", expected: "an integer of at least 1", found: "0")
    }
  }

  @Test(arguments: [nil, -1, 2]) func tasksHaveToBeChosen(task: Int?) throws {
    var fixture = try AdapterFixture()
    try fixture.become("MULTITASK_PROMPT_TUNING")
    let folder = try TemporaryFolder()
    try fixture.write(to: folder)
    let config = folder.file("adapter_config.json")
    let expected =
      task.map {
        AdapterError.malformedOption(location: config, option: "task", expected: "a task from 0 to 1", found: "\($0)")
      }
      ?? .missingOption(location: config, option: "task", why: "the adapter was trained for 2 tasks, from 0 to 1")
    #expect(throws: expected) {
      try AdapterReader.read(
        folder: folder.path, name: "tiny", base: BaseModel(shape: AdapterFixture.base), options: AdapterOptions(task: task))
    }
  }

  @Test(arguments: [("prefix_task_cols", [2, 3, 1], [3, 3, 1]), ("prefix_task_rows", [2, 1, 4], [2, 2, 4])])
  func factorsOfTasks(tensor: String, expected: [Int], found: [Int]) throws {
    try Self.check("MULTITASK_PROMPT_TUNING") {
      $0.tensors[tensor] = try AdapterFixture.ones(found)
    } _: { _, tensors in
      .wrongShape(location: tensors, tensor: tensor, expected: expected, found: found)
    }
  }

  static let prompt = AdapterFixture.path(0, "self_attn.adaption_prompt")
  static let gate = AdapterFixture.path(0, "self_attn.adaption_gate")

  static let refusals = [
    Refusal("adaption prompts without the weights of the base") {
      try $0.become("ADAPTION_PROMPT")
    } error: { _, tensors in
      .needsBaseWeights(location: tensors)
    },
    Refusal("more layers than the base has") {
      try $0.become("ADAPTION_PROMPT", ["adapter_layers": "3"])
    } error: { config, _ in
      .malformedOption(
        location: config, option: "adapter_layers", expected: "at most 2 layers, as the base has", found: "3")
    },
    Refusal("prompts of another length") {
      try $0.become("ADAPTION_PROMPT", ["adapter_len": "2"])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: prompt, expected: [1, 2, 4], found: [1, 3, 4])
    },
    Refusal("no gate") {
      try $0.become("ADAPTION_PROMPT")
      $0.tensors[gate] = nil
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: gate)
    },
    Refusal("no prompt") {
      try $0.become("ADAPTION_PROMPT")
      $0.tensors[prompt] = nil
    } error: { _, tensors in
      .missingTensor(location: tensors, tensor: prompt)
    },
    Refusal("a gate for each head") {
      try $0.become("ADAPTION_PROMPT")
      $0.tensors[gate] = try AdapterFixture.ones([6])
    } error: { _, tensors in
      .wrongShape(location: tensors, tensor: gate, expected: [1], found: [6])
    },
    Refusal("another attention") {
      try $0.become("ADAPTION_PROMPT", ["target_modules": "\"attention\""])
    } error: { config, _ in
      .malformedOption(
        location: config, option: "target_modules", expected: "the attention of the base, model.layers.0.self_attn",
        found: "\"attention\"")
    },
    Refusal("an attention that the base does not have") {
      try $0.become("ADAPTION_PROMPT")
      $0.tensors["base_model.model.model.layers.2.self_attn.adaption_gate"] = try AdapterFixture.ones([1])
    } error: { _, tensors in
      .unknownTensor(
        location: tensors, tensor: "base_model.model.model.layers.2.self_attn.adaption_gate",
        expected: "an attention of this base, such as model.layers.1.self_attn")
    },
  ]

  @Test(arguments: refusals) func refused(_ refusal: Refusal) throws { try refusal.check() }
}
