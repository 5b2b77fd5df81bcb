// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// AdaLoRA (https://arxiv.org/abs/2303.10512): Delta = B diag(E) A * alpha / (init_r + 1e-5).
///
/// Tensors per adapted module: `lora_A` [rank, in], `lora_E` [rank, 1], `lora_B` [out, rank]. Training takes ranks away, which
/// `rank_pattern` lists and the tensors no longer have; the divisor stays that of the beginning. A module that lost all of them is
/// left as it is.
enum AdaLoRA {
  private static let parameters = ["lora_A", "lora_B", "lora_E"]

  private static let rules: [String: AdapterConfig.Rule] = {
    var rules = AdapterConfig.rules(
      read: ["init_r", "lora_alpha", "rank_pattern", "trainable_token_indices"],
      // The rank that training aimed at, and how; options of LoRA that AdaLoRA does not use.
      inert: [
        "r", "target_r", "beta1", "beta2", "deltaT", "tinit", "tfinal", "total_step", "orth_reg_weight", "lora_dropout",
        "init_lora_weights", "alpha_pattern", "use_rslora", "eva_config", "corda_config", "loftq_config", "lora_ga_config",
        "velora_config", "monteclora_config", "megatron_core", "runtime_config", "use_qalora", "qalora_group_size",
      ],
      off: [
        "use_dora", "lora_bias", "use_bdlora", "kasa_config", "alora_invocation_tokens", "layer_replication", "arrow_config",
        "target_parameters", "megatron_config", "ensure_weight_tying",
      ])
    rules["fan_in_fan_out"] = .inert
    return rules
  }()

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let first = try config.rank("init_r", default: 12, base: base)
    let alpha = try config.number("lora_alpha", default: 8)
    let scale = Float((alpha > 0 ? alpha : Double(first)) / (Double(first) + 1e-5))
    let ranks = try ranks(config)
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let size = base.size(of: tensors.module)
      let rank = ranks[tensors.module.path] ?? first
      let (a, b, e) = (try tensors.name("lora_A"), try tensors.name("lora_B"), try tensors.name("lora_E"))
      try files.requireRank(a, rank, axis: 0)
      try files.requireRank(b, rank, axis: 1)
      try files.requireShape(a, [rank, size.in])
      try files.requireShape(b, [size.out, rank])
      try files.requireShape(e, [rank, 1])
      guard rank > 0 else {
        for name in [a, b, e] { files.discard(name) }
        continue
      }
      let diagonal = try files.takeFloats(e, shape: [rank, 1])
      let factor = try LoRA.scaleRows(try files.takeWeights(a), by: diagonal)
      try builder.addLowRank(factor, try files.takeWeights(b), scale: scale, to: tensors.module)
    }
    try TokenRows(config, option: "trainable_token_indices")?
      .add("token_adapter.trainable_tokens_delta", from: &files, to: &builder)
    return builder.deltas
  }

  /// How many ranks each module kept, by its path: `rank_pattern` has a list of true and false for each `lora_E`.
  private static func ranks(_ config: AdapterConfig) throws(AdapterError) -> [String: Int] {
    var ranks: [String: Int] = [:]
    for (key, value) in try config.members("rank_pattern") {
      guard let list = value.array?.compactMap(\.bool), list.count == value.array?.count else {
        throw config.malformed("rank_pattern", expected: "true or false for each rank of a module", found: value)
      }
      guard let path = AdapterFolder.split(key, ["lora_E"])?.path else {
        throw config.malformed("rank_pattern", expected: "names of lora_E", found: config["rank_pattern"])
      }
      ranks[path] = list.count { $0 }
    }
    return ranks
  }
}
