// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// Prompt tuning (https://arxiv.org/abs/2104.08691): `prompt_embeddings` [n, hidden] stands before the embeddings of the tokens.
///
/// P-tuning and CPT are the same when they are saved: what encodes the prompt has been applied.
enum PromptTuning {
  private static let prompt = "prompt_embeddings"

  /// Options of how prompts begin and are trained; what they became is in the file.
  static let inert = [
    "prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_name_or_path", "tokenizer_kwargs",
    "prompt_tuning_init_state_dict_path", "prompt_tuning_init_task", "encoder_reparameterization_type",
    "encoder_hidden_size", "encoder_num_layers", "encoder_dropout", "cpt_token_ids", "cpt_mask", "cpt_tokens_type_mask",
    "opt_weighted_loss_type", "opt_loss_decay_factor", "opt_projection_epsilon", "opt_projection_format_epsilon",
  ]

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let options = try PromptOptions(files.config, inert: inert)
    var builder = try DeltaBuilder(model, &files, adapting: [])
    let width = model.shape.embedding.hiddenSize
    try options.requireWidth(width)
    let rows = try files.takeFloats(prompt, shape: [try options.count(prompt, files), width])
    builder.deltas.prompt = .embeddings(try makeTensor(rows, [rows.count / width, width]))
    return builder.deltas
  }
}

/// Multitask prompt tuning (https://arxiv.org/abs/2303.02861): the prompt of task t is `prompt_embeddings` [n, hidden], every
/// element times that of `prefix_task_cols` [tasks, n, k] `prefix_task_rows` [tasks, k, hidden] at t.
enum MultitaskPromptTuning {
  private static let prompt = "prompt_embeddings"
  private static let columns = "prefix_task_cols"
  private static let rows = "prefix_task_rows"

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    let options = try PromptOptions(config, read: ["num_tasks", "num_ranks"], inert: PromptTuning.inert)
    var builder = try DeltaBuilder(model, &files, adapting: [])
    let width = model.shape.embedding.hiddenSize
    try options.requireWidth(width)
    let tasks = try config.integer("num_tasks", default: 1)
    let rank = try config.rank("num_ranks", default: 1, base: model)
    let count = try options.count(prompt, files)
    var values = try files.takeFloats(prompt, shape: [count, width])
    let left = try files.takeFloats(columns, shape: [tasks, count, rank])
    let right = try files.takeFloats(rows, shape: [tasks, rank, width])
    let task = try task(choices, of: tasks, config)
    for row in 0..<count {
      for i in 0..<width {
        var factor = 0.0
        for k in 0..<rank {
          factor += Double(left[(task * count + row) * rank + k]) * Double(right[(task * rank + k) * width + i])
        }
        values[row * width + i] = Float(Double(values[row * width + i]) * factor)
      }
    }
    builder.deltas.prompt = .embeddings(try makeTensor(values, [count, width]))
    return builder.deltas
  }

  /// The task that the user chose; of one task, that.
  private static func task(
    _ choices: AdapterOptions, of count: Int, _ config: AdapterConfig
  ) throws(AdapterError) -> Int {
    guard let task = choices.task ?? (count == 1 ? 0 : nil) else {
      throw .missingOption(
        location: config.location, option: "task", why: "the adapter was trained for \(count) tasks, from 0 to \(count - 1)")
    }
    guard (0..<count).contains(task) else {
      throw .malformedOption(
        location: config.location, option: "task", expected: "a task from 0 to \(count - 1)", found: "\(task)")
    }
    return task
  }
}

/// The options that PEFT's prompts have in common.
struct PromptOptions {
  private let config: AdapterConfig
  private let count: Int?
  private let width: Int?

  init(_ config: AdapterConfig, read: [String] = [], inert: [String]) throws(AdapterError) {
    var rules = AdapterConfig.commonRules
    for option in inert + ["num_layers", "num_attention_heads"] { rules[option] = .inert }
    for option in read { rules[option] = .read }
    for option in ["num_virtual_tokens", "token_dim", "num_transformer_submodules", "modules_to_save"] { rules[option] = .read }
    try config.check(rules)
    // Two are an encoder and a decoder.
    let submodules = try config.integer("num_transformer_submodules", default: 1)
    guard submodules == 1 else {
      throw .unsupportedOption(
        location: config.location, option: "num_transformer_submodules", expected: "1: a decoder alone", found: "\(submodules)")
    }
    self.config = config
    count = config["num_virtual_tokens"] == nil ? nil : try config.integer("num_virtual_tokens", default: 1)
    width = config["token_dim"] == nil ? nil : try config.integer("token_dim", default: 1)
  }

  /// The positions of the prompt `name`: those of the config, or of the tensor.
  func count(_ name: String, _ files: AdapterFolder) throws(AdapterError) -> Int {
    guard files.has(name) else { throw .missingTensor(location: files.tensorsLocation, tensor: name) }
    guard let count = count ?? files.shape(of: name).first, count > 0 else {
      throw config.malformed("num_virtual_tokens", expected: "at least 1", found: config["num_virtual_tokens"])
    }
    return count
  }

  /// Refuses a config for embeddings, or keys, of another width.
  func requireWidth(_ expected: Int) throws(AdapterError) {
    guard let width, width != expected else { return }
    throw config.malformed("token_dim", expected: "\(expected), as the base has", found: config["token_dim"])
  }
}
