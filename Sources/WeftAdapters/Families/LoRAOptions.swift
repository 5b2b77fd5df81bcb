// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// The options of PEFT's `LoraConfig` (peft 0.21.2), checked: what changes the arithmetic is read or refused by name.
struct LoRAOptions {
  let target: TargetModules
  private let rank: Int
  private let alpha: Double
  private let isRankStabilized: Bool
  /// In file order; the first that matches a module decides.
  private let rankPatterns: [(pattern: NamePattern, rank: Int)]
  private let alphaPatterns: [(pattern: NamePattern, alpha: Double)]

  private static let rules: [String: AdapterConfig.Rule] = [
    "peft_type": .read, "base_model_name_or_path": .read, "peft_version": .read,
    "r": .read, "lora_alpha": .read, "use_rslora": .read, "rank_pattern": .read, "alpha_pattern": .read,
    "target_modules": .read, "exclude_modules": .read, "layers_to_transform": .read, "layers_pattern": .read,
    "target_parameters": .read, "bias": .read, "init_lora_weights": .read,

    "fan_in_fan_out": .inert, "auto_mapping": .inert, "revision": .inert, "task_type": .inert, "inference_mode": .inert,
    "lora_dropout": .inert,
    "megatron_core": .inert, "qalora_group_size": .inert, "runtime_config": .inert,
    // `fan_in_fan_out` says how the base stores its weight, which the base knows.
    // The others only say how an initialisation works; `init_lora_weights` says whether it was used.
    "eva_config": .inert, "corda_config": .inert, "loftq_config": .inert, "lora_ga_config": .inert,

    "use_dora": .off, "lora_bias": .off, "modules_to_save": .off, "trainable_token_indices": .off,
    "layer_replication": .off, "alora_invocation_tokens": .off, "use_qalora": .off,
    "use_bdlora": .off, "kasa_config": .off, "arrow_config": .off, "velora_config": .off, "monteclora_config": .off,
    "megatron_config": .off, "ensure_weight_tying": .off,
  ]

  /// Initialisations that leave the base as it is, so that A and B are the whole change.
  private static let plainInitializations = ["gaussian", "orthogonal", "eva", "mica"]

  init(_ config: AdapterConfig) throws(AdapterError) {
    try config.check(LoRAOptions.rules)
    try LoRAOptions.checkBias(config)
    try LoRAOptions.checkInitialization(config)
    rank = try LoRAOptions.rank(config["r"], "r", config)
    alpha = try LoRAOptions.alpha(config["lora_alpha"], "lora_alpha", config)
    isRankStabilized = try config.bool("use_rslora")
    var ranks: [(pattern: NamePattern, rank: Int)] = []
    for (key, value) in try config.members("rank_pattern") {
      ranks.append((try LoRAOptions.pattern(key, "rank_pattern", config), try LoRAOptions.rank(value, "rank_pattern", config)))
    }
    rankPatterns = ranks
    var alphas: [(pattern: NamePattern, alpha: Double)] = []
    for (key, value) in try config.members("alpha_pattern") {
      alphas.append(
        (try LoRAOptions.pattern(key, "alpha_pattern", config), try LoRAOptions.alpha(value, "alpha_pattern", config)))
    }
    alphaPatterns = alphas
    target = try TargetModules(config)
  }

  /// The rank that the config gives to a module.
  func rank(of module: BaseModule) throws(AdapterError) -> Int {
    for entry in rankPatterns where try entry.pattern.matches(module.name) { return entry.rank }
    return rank
  }

  /// alpha / rank, or alpha / sqrt(rank) with `use_rslora`.
  func scale(of module: BaseModule, rank: Int) throws(AdapterError) -> Float {
    var alpha = alpha
    for entry in alphaPatterns where try entry.pattern.matches(module.name) {
      alpha = entry.alpha
      break
    }
    return Float(alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank)))
  }

  /// A key of a pattern option matches at the end of a path, after a dot or alone.
  private static func pattern(_ key: String, _ option: String, _ config: AdapterConfig) throws(AdapterError) -> NamePattern {
    try NamePattern("(.*\\.)?(\(key))", option: option, location: config.location)
  }

  private static func rank(_ value: JSON?, _ option: String, _ config: AdapterConfig) throws(AdapterError) -> Int {
    guard let rank = value?.int, rank > 0 else {
      throw config.malformed(option, expected: "a rank of at least 1", found: value)
    }
    return rank
  }

  private static func alpha(_ value: JSON?, _ option: String, _ config: AdapterConfig) throws(AdapterError) -> Double {
    guard let alpha = value?.double, alpha.isFinite else { throw config.malformed(option, expected: "a number", found: value) }
    return alpha
  }

  private static func checkBias(_ config: AdapterConfig) throws(AdapterError) {
    guard let bias = try config.string("bias"), bias != "none" else { return }
    throw .unsupportedOption(location: config.location, option: "bias", expected: "\"none\"", found: "\"\(bias)\"")
  }

  /// PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA train against a base from which the initial product was taken away: on the
  /// untouched base, A and B alone are another model.
  private static func checkInitialization(_ config: AdapterConfig) throws(AdapterError) {
    guard let value = config["init_lora_weights"], value.bool == nil else { return }
    guard let name = value.string else {
      throw config.malformed("init_lora_weights", expected: "true, false or a name", found: value)
    }
    guard plainInitializations.contains(name.lowercased()) else {
      throw .unsupportedOption(
        location: config.location, option: "init_lora_weights",
        expected: "one that leaves the base as it is (peft converts on save: path_initial_model_for_weight_conversion)",
        found: value.kind)
    }
  }
}
