// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// Adapters of mlx-lm (https://github.com/ml-explore/mlx-lm): `adapters.safetensors` beside `adapter_config.json`.
///
/// | `fine_tune_type` | tensors | effect |
/// |---|---|---|
/// | `lora` | `<module>.lora_a` [in, rank], `.lora_b` [rank, out] | W' = W + scale * (a b)' |
/// | `dora` | and `.m` [out] | the rows of that, with the norms m |
/// | `full` | parameters of the base | take the place of the base's |
///
/// The scale is `lora_parameters.scale` as it is; older configurations multiply by `alpha` / `rank`. Of stacked experts the
/// factors are [experts, rank, in] and [experts, out, rank]; of the embedding [vocabulary, rank] and [rank, hidden], and where
/// the head is the embedding it changes too. That only the last `num_layers` layers are adapted shows in the tensors.
enum MLXAdapter {
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    var builder = DeltaBuilder(base, files)
    let config = files.config
    let type = try config.string("fine_tune_type") ?? "lora"
    switch type {
    case "full": try builder.replaceParameters(&files)
    case "lora", "dora": try readFactors(try scale(config), isDoRA: type == "dora", &files, &builder)
    default:
      throw .unsupportedOption(
        location: config.location, option: "fine_tune_type", expected: "\"lora\", \"dora\" or \"full\"", found: "\"\(type)\"")
    }
    return builder.deltas
  }

  /// `lora_parameters`; everything else in the configuration is about training.
  private static func scale(_ config: AdapterConfig) throws(AdapterError) -> Float {
    guard let parameters = try config.nested("lora_parameters") else {
      throw config.malformed("lora_parameters", expected: "an object with rank and scale", found: nil)
    }
    try parameters.check(["rank": .read, "scale": .read, "alpha": .read, "dropout": .inert, "keys": .inert])
    guard let scale = parameters["scale"]?.double, scale.isFinite else {
      throw parameters.malformed("scale", expected: "a number", found: parameters["scale"])
    }
    guard let value = parameters["alpha"] else { return Float(scale) }
    guard let alpha = value.double, alpha.isFinite else {
      throw parameters.malformed("alpha", expected: "a number", found: value)
    }
    guard let rank = parameters["rank"]?.int, rank > 0 else {
      throw parameters.malformed("rank", expected: "a rank of at least 1", found: parameters["rank"])
    }
    return Float(scale * alpha / Double(rank))
  }

  private static func readFactors(
    _ scale: Float, isDoRA: Bool, _ files: inout AdapterFolder, _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    var paths: Set<String> = []
    for name in files.tensorNames {
      guard let (path, parameter) = split(name), parameter != "m" || isDoRA else { continue }
      files.recognize(name)
      paths.insert(path)
    }
    for path in paths.sorted() {
      let (a, b) = ("\(path).lora_a", "\(path).lora_b")
      for name in [a, b] where !files.has(name) { throw .missingTensor(location: files.tensorsLocation, tensor: name) }
      if builder.base.shape.isEmbedding(path) {
        guard !isDoRA else { throw unsupported(files, path, "the embedding with dora") }
        try addEmbedding(a, b, scale, &files, &builder)
      } else if let sites = experts(path, builder.base.shape) {
        guard !isDoRA else { throw unsupported(files, path, "experts with dora") }
        try addExperts(sites, a, b, scale, &files, &builder)
      } else if let module = module(path, builder.base.shape) {
        let size = builder.base.size(of: module)
        let rank = files.shape(of: a).last ?? 0
        var factors = LoRA.Factors(
          a: try files.take(a, shape: [size.in, rank]).transposed(),
          b: try files.take(b, shape: [rank, size.out]).transposed(),
          scale: scale)
        if isDoRA {
          let magnitude = "\(path).m"
          guard files.has(magnitude) else { throw .missingTensor(location: files.tensorsLocation, tensor: magnitude) }
          try addMagnitude(magnitude, to: module, &factors, &files, &builder)
        }
        try builder.addLowRank(factors.a, factors.b, scale: scale, to: module)
      } else {
        throw files.unknownModule(a, path, ["lora_a", "lora_b"], builder.base.shape)
      }
    }
  }

  private static func split(_ name: String) -> (path: String, parameter: String)? {
    guard let dot = name.lastIndex(of: "."), ["lora_a", "lora_b", "m"].contains(name[dot...].dropFirst()) else { return nil }
    return (String(name[..<dot]), String(name[dot...].dropFirst()))
  }

  /// mlx-lm puts `model.` in front of architectures that transformers calls otherwise.
  private static func module(_ path: String, _ base: BaseShape) -> BaseModule? {
    base.module(at: path) ?? (path.hasPrefix("model.") ? base.module(at: String(path.dropFirst("model.".count))) : nil)
  }

  /// The experts of a layer that `layers.3.mlp.switch_mlp.gate_proj` stacks, in order; nil for anything else.
  private static func experts(_ path: String, _ base: BaseShape) -> [WeightSite]? {
    let parts = path.split(separator: ".").map(String.init)
    let projections: [String: Projection] = ["gate_proj": .gate, "up_proj": .up, "down_proj": .down]
    guard parts.contains("switch_mlp"), let last = parts.last, let projection = projections[last],
      let place = parts.firstIndex(of: "layers"), place + 1 < parts.count, let layer = Int(parts[place + 1])
    else { return nil }
    var sites: [WeightSite] = []
    while base.shape(of: .expert(layer, sites.count, projection)) != nil {
      sites.append(.expert(layer, sites.count, projection))
    }
    return sites.isEmpty ? nil : sites
  }

  private static func addExperts(
    _ sites: [WeightSite], _ a: String, _ b: String, _ scale: Float, _ files: inout AdapterFolder,
    _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    guard let size = builder.base.shape.shape(of: sites[0]) else { return }
    let rank = files.shape(of: b).last ?? 0
    let tensorA = try files.take(a, shape: [sites.count, rank, size.in])
    let tensorB = try files.take(b, shape: [sites.count, size.out, rank])
    for (expert, site) in sites.enumerated() {
      do throws(DeltaError) {
        let factors = try LowRank(
          a: tensorA.slice(rows: expert * rank..<(expert + 1) * rank),
          b: tensorB.slice(rows: expert * size.out..<(expert + 1) * size.out), scale: scale)
        builder.deltas.operators[site, default: []].append(.lowRank(factors))
      } catch { throw .delta(location: files.tensorsLocation, site: site, error) }
    }
  }

  private static func addEmbedding(
    _ a: String, _ b: String, _ scale: Float, _ files: inout AdapterFolder, _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let (shape, rank) = (builder.base.shape, files.shape(of: b).first ?? 0)
    let tensorA = try files.take(a, shape: [shape.embedding.vocabularySize, rank])
    let tensorB = try files.take(b, shape: [rank, shape.embedding.hiddenSize])
    let (turnedA, turnedB) = (try tensorA.transposed(), try tensorB.transposed())
    try builder.addEmbedding { () throws(DeltaError) in .lowRank(try LowRank(a: turnedA, b: turnedB, scale: scale)) }
    if shape.isTied, let head = shape.modules.last(where: { $0.sites == [.outputHead] }) {
      try builder.addLowRank(tensorB, tensorA, scale: scale, to: head)
    }
  }

  private static func addMagnitude(
    _ name: String, to module: BaseModule, _ factors: inout LoRA.Factors, _ files: inout AdapterFolder,
    _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let size = builder.base.size(of: module)
    let magnitude = try files.takeFloats(name, shape: [size.out])
    let ratio = try factors.ratio(
      of: magnitude, weight: try builder.values().weight(of: module), size, files.tensorsLocation, tensor: name)
    factors.b = try LoRA.scaleRows(factors.b, by: ratio)
    try builder.add(to: module) { rows throws(DeltaError) in
      .scale(try ScaleDelta(.product, Array(ratio[rows]), combination: .sum))
    }
  }

  private static func unsupported(_ files: AdapterFolder, _ path: String, _ what: String) -> AdapterError {
    .unsupportedOption(
      location: files.config.location, option: "fine_tune_type", expected: "linear modules only", found: "\(what) (\(path))")
  }
}
