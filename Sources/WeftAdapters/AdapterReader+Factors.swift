// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
internal import WeftFormats
internal import WeftTensors

extension AdapterReader {
  /// Reads the files at `folder` for their factors: a plain LoRA of PEFT, or IA3.
  ///
  /// With the shape of the base, modules are checked against it and are in its order; without, they are what the file names, in
  /// the order of layers and, within, of decoders of the llama family. Everything else is checked as `read` does.
  package static func factors(
    folder: String, name: String = "default", base: BaseModel? = nil
  ) throws(AdapterError) -> AdapterFactors.Reading {
    var files = try AdapterFolder(path: folder, name: name)
    if let base { try files.checkBase(base) }
    let family = try family(of: files)
    let factors: AdapterFactors
    switch family.peftType {
    case "LORA":
      let options = try LoRAOptions(files.config)
      if let reason = options.beyondFactors { return .other(reason: reason) }
      if let base {
        try options.target.check(base.shape, files.config)
        let tensors = try LoRATensors(&files, base: base.shape)
        guard tensors.experts.isEmpty else { return .other(reason: "factors of stacked experts") }
        factors = try plainFactors(tensors, options, &files, base)
      } else {
        guard files.config["target_parameters"].map({ $0.array?.isEmpty ?? true }) ?? true else {
          return .other(reason: "factors of stacked experts")
        }
        factors = try plainFactors(options, &files)
      }
    case "IA3": factors = try scales(&files, base)
    default: return .other(reason: "the family \(family.name)")
    }
    try files.requireAllTaken(family: family.name)
    guard !factors.modules.isEmpty else { throw .noTensors(location: files.tensorsLocation) }
    return .factors(factors)
  }

  private static func options(_ files: AdapterFolder) throws(AdapterError) -> AdapterFactors.Options {
    let config = files.config
    let isList = config["target_modules"]?.array != nil
    let choosesOtherwise = ["exclude_modules", "layers_to_transform", "layers_pattern"].contains { config.isOn($0) }
    return AdapterFactors.Options(
      baseModel: try config.string("base_model_name_or_path"), taskType: try config.string("task_type"),
      targets: isList && !choosesOtherwise ? try config.strings("target_modules") : nil,
      isTransposed: try config.bool("fan_in_fan_out"))
  }

  private static func plainFactors(
    _ tensors: LoRATensors, _ options: LoRAOptions, _ files: inout AdapterFolder, _ base: BaseModel
  ) throws(AdapterError) -> AdapterFactors {
    var modules: [AdapterFactors.Module] = []
    if let own = try LoRA.embeddingFactors(of: base.shape.embedding, tensors.embedding, options, &files) {
      modules.append(
        .init(
          path: base.shape.embedding.path, part: .embedding(a: own.a, b: own.b, scale: own.scale), isTransposed: true))
    }
    if let place = base.shape.positions,
      let own = try LoRA.embeddingFactors(of: place, tensors.positions, options, &files)
    {
      modules.append(.init(path: place.path, part: .embedding(a: own.a, b: own.b, scale: own.scale), isTransposed: true))
    }
    for (module, names) in tensors.modules where try options.target.contains(module) {
      let own = try LoRA.factors(of: module, names, options, from: &files, base)
      modules.append(
        .init(path: module.path, part: .linear(a: own.a, b: own.b, scale: own.scale), isTransposed: module.isTransposed))
    }
    try LoRA.requireTargets(
      options, Set(tensors.modules.flatMap(\.module.sites)), tensors, base.shape, files.tensorsLocation)
    return AdapterFactors(modules: modules, options: try Self.options(files))
  }

  /// Of a file alone: shapes are checked against each other, ranks against the config.
  private static func plainFactors(
    _ options: LoRAOptions, _ files: inout AdapterFolder
  ) throws(AdapterError) -> AdapterFactors {
    let location = files.tensorsLocation
    var found: [String: LoRATensors.Names] = [:]
    for name in files.tensorNames {
      guard let (path, parameter) = LoRATensors.split(name) else { continue }
      files.recognize(name)
      if let other = found[path, default: [:]].updateValue(name, forKey: parameter) {
        throw .duplicateTensor(location: location, tensor: other, other: name)
      }
    }
    var modules: [AdapterFactors.Module] = []
    for (path, names) in found.sorted(by: { ModuleOrder($0.key) < ModuleOrder($1.key) }) {
      let isEmbedding = names[.embeddingA] != nil || names[.embeddingB] != nil
      let layer = AdapterFactors.Module(path: path, part: .factors([], isOfInput: false)).layer
      guard try options.target.contains(path: path, layer: layer) else { continue }
      let rank = try options.ranks.rank(of: path)
      let scale = try options.ranks.scale(of: path, rank: rank)
      let a = try LoRATensors.name(isEmbedding ? .embeddingA : .a, in: names, location)
      let b = try LoRATensors.name(isEmbedding ? .embeddingB : .b, in: names, location)
      for (name, axis) in [(a, 0), (b, 1)] {
        let shape = files.shape(of: name)
        guard shape.count == 2, shape[1 - axis] > 0 else {
          throw .wrongShape(
            location: location, tensor: name, expected: axis == 0 ? [rank, 1] : [1, rank], found: shape)
        }
        guard shape[axis] == rank else {
          throw .wrongRank(location: location, tensor: name, expected: rank, found: shape[axis])
        }
      }
      let (ownA, ownB) = (try files.takeWeights(a), try files.takeWeights(b))
      modules.append(
        .init(
          path: path, part: isEmbedding ? .embedding(a: ownA, b: ownB, scale: scale) : .linear(a: ownA, b: ownB, scale: scale),
          isTransposed: isEmbedding || options.isTransposed))
    }
    return AdapterFactors(modules: modules, options: try Self.options(files))
  }

  /// IA3: [out, 1] for outputs, [1, in] for inputs. A vector of one number is one of outputs.
  private static func scales(_ files: inout AdapterFolder, _ base: BaseModel?) throws(AdapterError) -> AdapterFactors {
    try files.config.check(IA3.rules)
    let replacements = try ReplacementOptions(files.config)
    guard replacements.biases == .none, replacements.modules.isEmpty else {
      throw .unsupportedOption(
        location: files.config.location, option: replacements.biases == .none ? "modules_to_save" : "bias",
        expected: "it off where factors are merged", found: "it on")
    }
    var found: [(path: String, name: String)] = []
    for name in files.tensorNames {
      guard let (path, _) = AdapterFolder.split(name, [IA3.vector]) else { continue }
      files.recognize(name)
      found.append((path, name))
    }
    if let base, let (path, name) = found.first(where: { base.shape.module(at: $0.path) == nil }) {
      throw files.unknownModule(name, path, [IA3.vector], base.shape)
    }
    var modules: [AdapterFactors.Module] = []
    for (path, name) in found.sorted(by: { ModuleOrder($0.path) < ModuleOrder($1.path) }) {
      let shape = files.shape(of: name)
      guard shape.count == 2, shape.contains(1), shape[0] * shape[1] > 0 else {
        throw .wrongShape(location: files.tensorsLocation, tensor: name, expected: [max(shape.first ?? 1, 1), 1], found: shape)
      }
      let isOfInput = shape[0] == 1 && shape[1] != 1
      modules.append(
        .init(path: path, part: .factors(try files.takeFloats(name, shape: shape), isOfInput: isOfInput)))
    }
    return AdapterFactors(modules: modules, options: try Self.options(files))
  }
}

extension LoRAOptions {
  /// An option that makes the adapter more than scale * B A of linear modules and embeddings; nil when none does.
  var beyondFactors: String? {
    if usesDoRA { return "use_dora" }
    if hasBias { return "lora_bias" }
    if blocks != nil { return "use_bdlora" }
    if invocation != nil { return "alora_invocation_tokens" }
    if residual != .none { return "an initialisation that changes the base" }
    if !replication.isEmpty { return "layer_replication" }
    if replacements.biases != .none { return "bias" }
    if !replacements.modules.isEmpty { return "modules_to_save" }
    if tokens != nil { return "trainable_token_indices" }
    return ensuresTying ? "ensure_weight_tying" : nil
  }
}
