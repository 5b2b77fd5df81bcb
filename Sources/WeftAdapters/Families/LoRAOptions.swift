// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// The options of PEFT's `LoraConfig` (peft 0.21.2), checked: what changes the arithmetic is read or refused by name.
struct LoRAOptions {
  let target: TargetModules
  let replacements: ReplacementOptions
  let tokens: TokenRows?
  let ranks: LoRARanks
  /// What PEFT takes out of the base when it loads the adapter.
  let residual: LoRAResidual
  let usesDoRA: Bool
  /// Whether B has a bias.
  let hasBias: Bool
  let blocks: LoRABlocks?
  /// The tokens from which on it acts (aLoRA).
  let invocation: [Int32]?
  /// The layers of the file that the layers of the model are, from first to last, for each run of layers.
  let replication: [Range<Int>]
  /// Whether a head that is the embedding has the embedding's change too.
  let ensuresTying: Bool
  /// Whether the base stores its weights transposed, as far as PEFT was told.
  let isTransposed: Bool

  static let rules = AdapterConfig.commonRules.merging(AdapterConfig.targetRules) { $1 }
    .merging(ReplacementOptions.rules) { $1 }
    .merging([
      "r": .read, "lora_alpha": .read, "use_rslora": .read, "rank_pattern": .read, "alpha_pattern": .read,
      "target_parameters": .read, "init_lora_weights": .read, "kasa_config": .read, "use_dora": .read, "lora_bias": .read,
      "use_bdlora": .read, "alora_invocation_tokens": .read, "layer_replication": .read, "trainable_token_indices": .read,
      "ensure_weight_tying": .read, "fan_in_fan_out": .read,
      // Only training reads these.
      "lora_dropout": .inert, "velora_config": .inert, "monteclora_config": .inert, "megatron_core": .inert,
      "runtime_config": .inert,
      // Outside GPTQ layers it changes nothing; where it did, A is narrower than the input, and refused by its shape.
      "use_qalora": .inert, "qalora_group_size": .inert,
      // How an initialisation works; `init_lora_weights` says whether it was used.
      "eva_config": .inert, "corda_config": .inert, "loftq_config": .inert, "lora_ga_config": .inert,
      "megatron_config": .off, "arrow_config": .off,
    ]) { $1 }

  init(_ config: AdapterConfig) throws(AdapterError) {
    try config.check(LoRAOptions.rules)
    ranks = try LoRARanks(config)
    residual = try LoRAResidual(config)
    target = try TargetModules(config)
    ensuresTying = try config.bool("ensure_weight_tying")
    replacements = try ReplacementOptions(config, tiesHead: ensuresTying)
    tokens = try TokenRows(
      config, option: "trainable_token_indices", module: nil, ensuresTying: ensuresTying)
    usesDoRA = try config.bool("use_dora")
    hasBias = try config.bool("lora_bias")
    blocks = try LoRABlocks(config)
    isTransposed = try config.bool("fan_in_fan_out")
    invocation = try LoRAOptions.invocation(config)
    replication = try LoRAOptions.replication(config)
    try checkCombinations(config)
  }

  /// An option that is on and that only linear modules know; nil when none is.
  var variantOfModules: String? {
    if usesDoRA { return "use_dora" }
    if hasBias { return "lora_bias" }
    if blocks != nil { return "use_bdlora" }
    if invocation != nil { return "alora_invocation_tokens" }
    return residual == .none ? nil : "an initialisation that changes the base"
  }

  /// PEFT has one variant for a module and refuses several.
  private func checkCombinations(_ config: AdapterConfig) throws(AdapterError) {
    let variants = [
      "use_dora", "use_bdlora", "kasa_config", "alora_invocation_tokens", "velora_config", "monteclora_config",
    ]
    var on = variants.filter { config.isOn($0) }
    if hasBias, usesDoRA || blocks != nil { on.insert("lora_bias", at: 0) }
    if on.count > 1 {
      throw .unsupportedOption(
        location: config.location, option: on[1], expected: "it off beside \(on[0])", found: config[on[1]]?.kind ?? "")
    }
    guard invocation != nil else { return }
    // They would act before the invocation too.
    for option in ["modules_to_save", "trainable_token_indices", "bias"] where config.isOn(option) {
      guard option != "bias" || replacements.biases != .none else { continue }
      throw .unsupportedOption(
        location: config.location, option: option, expected: "it off beside alora_invocation_tokens",
        found: config[option]?.kind ?? "")
    }
  }

  private static func invocation(_ config: AdapterConfig) throws(AdapterError) -> [Int32]? {
    guard let tokens = try config.integers("alora_invocation_tokens"), !tokens.isEmpty else { return nil }
    return try tokens.map { token throws(AdapterError) in
      guard token >= 0, let small = Int32(exactly: token) else {
        throw config.malformed(
          "alora_invocation_tokens", expected: "tokens of the vocabulary", found: config["alora_invocation_tokens"])
      }
      return small
    }
  }

  private static func replication(_ config: AdapterConfig) throws(AdapterError) -> [Range<Int>] {
    guard let value = config["layer_replication"] else { return [] }
    let expected = "an array of pairs: the first layer of a run and the one behind its last"
    guard let runs = value.array else { throw config.malformed("layer_replication", expected: expected, found: value) }
    return try runs.map { run throws(AdapterError) in
      let ends = run.array?.compactMap(\.int) ?? []
      guard ends.count == 2, run.array?.count == 2, 0 <= ends[0], ends[0] < ends[1], ends[1] <= 1 << 20 else {
        throw config.malformed("layer_replication", expected: expected, found: run)
      }
      return ends[0]..<ends[1]
    }
  }
}
