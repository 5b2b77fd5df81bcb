// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// A plain LoRA of linear modules, as one of the experts among which a gate chooses (Arrow, X-LoRA).
struct LoRAExpert {
  /// Names the expert in errors.
  let location: String
  private(set) var factors: [BaseModule: LoRA.Factors] = [:]

  /// Reads the folder of an expert. Options that would change more than linear modules by A and B are refused.
  init(_ folder: AdapterFolder, base: BaseModel) throws(AdapterError) {
    var folder = folder
    location = folder.tensorsLocation
    let config = folder.config
    guard try config.string("peft_type") == "LORA" else {
      throw config.malformed("peft_type", expected: "LORA, as an expert of a gate", found: config["peft_type"])
    }
    let options = try LoRAOptions(config)
    try options.requirePlain(config)
    try options.target.check(base.shape, config)
    let tensors = try LoRATensors(&folder, base: base.shape)
    var modules: [BaseModule] = []
    for (module, names) in tensors.modules where try options.target.contains(module) {
      // Their ranks are padded and joined: arithmetic on floats.
      var own = try LoRA.factors(of: module, names, options, from: &folder, base)
      own.b = try own.b.asFloats(columns: own.a.rows)
      own.a = try own.a.asFloats(columns: own.a.columns)
      factors[module] = own
      modules.append(module)
    }
    try folder.requireAllTaken(family: "LoRA")
    try LoRA.requireTargets(options, Set(modules.flatMap(\.sites)), tensors, base.shape, location)
  }

  /// Where an expert may lie.
  static func folders(of name: String, _ files: AdapterFolder) -> [String] {
    let parent = files.path.lastIndex(of: "/").map { String(files.path[..<$0]) } ?? "."
    return ["\(files.path)/\(name)", "\(parent.isEmpty ? "/" : parent)/\(name)"]
  }

  /// The file of an expert that is named in a config beside it: in a folder in that of the config, or beside it, as PEFT
  /// saves several adapters.
  static func folder(
    named name: String, of files: AdapterFolder, option: String
  ) throws(AdapterError) -> AdapterFolder {
    guard Mixture.isName(name), name != ".", name != ".." else {
      throw .malformedOption(
        location: files.config.location, option: option, expected: "names of folders", found: "'\(name)'")
    }
    guard let expert = try files.companion(name, folders: folders(of: name, files)) else {
      throw .missingFile(location: files.path, name: "the folder '\(name)' of an expert, in it or beside it,")
    }
    return expert
  }
}

extension LoRAOptions {
  /// Refuses what is more than A and B of linear modules.
  fileprivate func requirePlain(_ config: AdapterConfig) throws(AdapterError) {
    let options = [
      "use_dora", "lora_bias", "use_bdlora", "kasa_config", "alora_invocation_tokens", "modules_to_save", "layer_replication",
      "trainable_token_indices", "target_parameters",
    ]
    for option in options where config.isOn(option) {
      throw .unsupportedOption(
        location: config.location, option: option, expected: "it off in an expert of a gate", found: config[option]?.kind ?? "")
    }
    for (option, isPlain) in [("init_lora_weights", residual == .none), ("bias", replacements.biases == .none)] where !isPlain {
      throw .unsupportedOption(
        location: config.location, option: option, expected: "a plain LoRA as an expert of a gate",
        found: config[option]?.kind ?? "")
    }
  }
}
