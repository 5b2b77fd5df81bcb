// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// Arrow (https://arxiv.org/abs/2405.11157): a LoRA config with `arrow_config` that names experts, plain LoRAs in folders of
/// those names. For every token, each expert's gate is |x . p|, with p the direction of the input that its B A stretches most;
/// the largest gates go through a softmax.
///
/// GenKnowSub (https://arxiv.org/abs/2505.10939): the means of A and of B over general adapters are first taken out of every
/// expert. The router's own factors are not used.
enum Arrow {
  static let option = "arrow_config"
  /// The name that PEFT gives to the router among its experts.
  static let router = "arrow_router"

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let options = try ArrowOptions(files.config)
    for (_, names) in try LoRATensors(&files, base: base.shape).modules {
      for parameter in [LoRATensors.Parameter.a, .b] { if let name = names[parameter] { files.discard(name) } }
    }
    let experts = try read(options.experts, "task_adapter_names", &files, base)
    let general = try read(options.general, "gks_adapter_names", &files, base)
    var builder = DeltaBuilder(base, files)
    for module in base.shape.modules where experts[0].factors[module] != nil {
      var factors = try experts.map { expert throws(AdapterError) in try one(module, of: expert, like: experts[0]) }
      if !general.isEmpty {
        let shared = try general.map { expert throws(AdapterError) in try one(module, of: expert, like: experts[0]) }
        factors = try subtractMean(of: shared, from: factors)
      }
      let size = base.size(of: module)
      var prototypes: [Float] = []
      for expert in factors {
        prototypes += try ArrowPrototype.direction(expert, size, seed: options.seed, builder.location)
      }
      try GatedExperts(factors, size).add(
        gate: try makeTensor(prototypes, [factors.count, size.in]),
        rule: .arrow(topK: options.topK, temperature: options.temperature), to: module, of: &builder)
    }
    return builder.deltas
  }

  private static func read(
    _ names: [String], _ option: String, _ files: inout AdapterFolder, _ base: BaseModel
  ) throws(AdapterError) -> [LoRAExpert] {
    try names.map { name throws(AdapterError) in
      try LoRAExpert(try LoRAExpert.folder(named: name, of: files, option: "\(Arrow.option).\(option)"), base: base)
    }
  }

  /// The factors of a module, which all experts have with the same rank.
  private static func one(
    _ module: BaseModule, of expert: LoRAExpert, like first: LoRAExpert
  ) throws(AdapterError) -> LoRA.Factors {
    guard expert.factors.count == first.factors.count, let factors = expert.factors[module] else {
      throw .missingTensor(
        location: expert.location, tensor: "\(AdapterFolder.prefix)\(module.path).lora_A.weight, or the others lack some,")
    }
    let rank = first.factors[module]?.a.rows ?? 0
    guard factors.a.rows == rank else {
      throw .wrongRank(
        location: expert.location, tensor: "\(AdapterFolder.prefix)\(module.path).lora_A.weight", expected: rank,
        found: factors.a.rows)
    }
    return factors
  }

  private static func subtractMean(
    of general: [LoRA.Factors], from experts: [LoRA.Factors]
  ) throws(AdapterError) -> [LoRA.Factors] {
    func mean(_ tensors: [Tensor]) -> [Float] {
      var sum = [Float](repeating: 0, count: tensors[0].elementCount)
      for tensor in tensors {
        let values = tensor.floats()
        for i in sum.indices { sum[i] += values[i] }
      }
      return sum.map { $0 / Float(tensors.count) }
    }
    func difference(_ tensor: Tensor, _ mean: [Float]) throws(AdapterError) -> Tensor {
      try makeTensor(zip(tensor.floats(), mean).map { $0 - $1 }, tensor.shape)
    }
    let (meanA, meanB) = (mean(general.map(\.a)), mean(general.map(\.b)))
    return try experts.map { expert throws(AdapterError) in
      LoRA.Factors(a: try difference(expert.a, meanA), b: try difference(expert.b, meanB), scale: expert.scale)
    }
  }
}

/// PEFT's `ArrowConfig`.
struct ArrowOptions {
  let experts: [String]
  /// Of GenKnowSub; empty when it is off.
  let general: [String]
  let topK: Int
  let temperature: Float
  /// nil: PEFT begins with other random numbers in every run.
  let seed: Int?

  private static let rules: [String: AdapterConfig.Rule] = {
    var rules = LoRAOptions.rules
    for option in [
      "use_dora", "lora_bias", "use_bdlora", "kasa_config", "alora_invocation_tokens", "layer_replication", "modules_to_save",
      "trainable_token_indices", "target_parameters",
    ] { rules[option] = .off }
    rules[Arrow.option] = .read
    return rules
  }()

  init(_ config: AdapterConfig) throws(AdapterError) {
    try config.check(ArrowOptions.rules)
    var members: [String: JSON] = [:]
    for (key, value) in try config.members(Arrow.option) where !value.isNull { members[key] = value }
    func malformed(_ key: String, _ expected: String) -> AdapterError {
      config.malformed("\(Arrow.option).\(key)", expected: expected, found: members[key])
    }
    func names(_ key: String) throws(AdapterError) -> [String] {
      guard let value = members[key] else { return [] }
      guard let array = value.array, case let names = array.compactMap(\.string), names.count == array.count else {
        throw malformed(key, "an array of names")
      }
      return names
    }
    let known = ["top_k", "router_temperature", "use_gks", "task_adapter_names", "gks_adapter_names", "rng_seed"]
    for (key, value) in members where !known.contains(key) {
      throw .unknownOption(location: config.location, option: "\(Arrow.option).\(key)", found: value.kind)
    }
    experts = try names("task_adapter_names")
    guard !experts.isEmpty, Set(experts).count == experts.count else {
      throw malformed("task_adapter_names", "the names of the experts, each once")
    }
    let usesGeneral = members["use_gks"]?.bool ?? false
    general = usesGeneral ? try names("gks_adapter_names") : []
    guard !usesGeneral || !general.isEmpty else { throw malformed("gks_adapter_names", "the names of general adapters") }
    topK = members["top_k"]?.int ?? (members["top_k"] == nil ? 3 : 0)
    guard (1...experts.count).contains(topK) else { throw malformed("top_k", "a number from 1 to \(experts.count)") }
    let temperature = members["router_temperature"]?.double ?? (members["router_temperature"] == nil ? 1 : 0)
    guard temperature > 0, Float(temperature).isFinite, Float(temperature) > 0 else {
      throw malformed("router_temperature", "a positive number")
    }
    self.temperature = Float(temperature)
    seed = members["rng_seed"]?.int
    guard seed != nil || members["rng_seed"] == nil else { throw malformed("rng_seed", "an integer") }
  }
}
