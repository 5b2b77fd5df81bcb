// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// LoRA (https://arxiv.org/abs/2106.09685): y = W x + scale * B (A x), with scale = alpha / rank, or alpha / sqrt(rank) for
/// rank-stabilised LoRA (https://arxiv.org/abs/2312.03732), and everything that PEFT's LoRA can be beside it.
///
/// Tensors per adapted module: `lora_A.weight` [rank, in] and `lora_B.weight` [out, rank]. On a fused module (`qkv_proj`) the
/// rows of B are divided as the module's own rows are, and every part has the same A.
enum LoRA {
  static func resolve(
    _ folder: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let options = try LoRAOptions(folder.config)
    try options.target.check(base.shape, folder.config)
    try checkLayers(options.replication, base.shape, folder.config)
    var builder = DeltaBuilder(base, folder)
    let tensors = try LoRATensors(&folder, base: base.shape)
    // What the config does not target stays in the folder, and the reader refuses it.
    var modules: [(module: BaseModule, names: LoRATensors.Names)] = []
    for found in tensors.modules where try contains(found.module, options, base.shape) { modules.append(found) }
    try builder.addReplacements(options.replacements, from: &folder, adapted: Set(modules.map(\.module.path)))
    for (module, names) in modules { try addModule(module, names, options, from: &folder, to: &builder) }
    for (path, pairs) in tensors.experts { try addExperts(path, pairs, options, from: &folder, to: &builder) }
    try addEmbedding(tensors.embedding, options, from: &folder, to: &builder)
    try addPositions(tensors.positions, options, from: &folder, to: &builder)
    if options.ensuresTying { try tieHead(tensors, options, to: &builder) }
    try options.tokens?.add("token_adapter.trainable_tokens_delta", from: &folder, to: &builder)
    let sites = Set(tensors.modules.flatMap(\.module.sites)).union(builder.deltas.operators.keys)
    try requireTargets(options, sites, tensors, base.shape, builder.location)
    builder.deltas.invocation = options.invocation
    return builder.deltas
  }

  /// Whether the config targets a module; the head also where it follows a targeted embedding.
  private static func contains(
    _ module: BaseModule, _ options: LoRAOptions, _ base: BaseShape
  ) throws(AdapterError) -> Bool {
    if options.replacements.names(module.path) { return false }
    if try options.target.contains(module) { return true }
    guard module.sites == [.outputHead], options.ensuresTying, base.isTied else { return false }
    return try options.target.contains(path: base.embedding.path)
  }

  /// An adapter for repeated layers fits a base that was opened with the same ones.
  private static func checkLayers(
    _ replication: [Range<Int>], _ base: BaseShape, _ config: AdapterConfig
  ) throws(AdapterError) {
    guard !replication.isEmpty else { return }
    let count = replication.reduce(0) { $0 + $1.count }
    guard count == base.layerCount, Array(replication.joined()) == base.layerSources else {
      let runs = replication.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound - 1)" }
        .joined(separator: ",")
      throw .unsupportedOption(
        location: config.location, option: "layer_replication", expected: "a base with the same layers: --layers \(runs)",
        found: runs)
    }
  }

  /// A module that the config targets has tensors. One without would be adapted by nothing: the file is incomplete, or the
  /// base is not the one that the adapter was trained on.
  static func requireTargets(
    _ options: LoRAOptions, _ adapted: Set<WeightSite>, _ tensors: LoRATensors, _ base: BaseShape, _ location: String
  ) throws(AdapterError) {
    let target = options.target
    guard target.isStated else { return }
    // Experts are modules of their own in some versions of transformers and stacked in others: names that would fit both
    // speak of experts only where the file adapts some in that layer.
    let sparse = Set(adapted.compactMap { if case .expert(let layer, _, _) = $0 { layer } else { nil } })
    for module in base.modules where module.isPublished && module.parameter == nil {
      guard try target.contains(module), !options.replacements.names(module.path),
        module.sites.contains(where: { !adapted.contains($0) })
      else { continue }
      if case .expert(let layer, _, _) = module.sites[0], !sparse.contains(layer) { continue }
      throw .missingTensor(location: location, tensor: "\(AdapterFolder.prefix)\(module.path).lora_A.weight")
    }
    for (path, names) in [(base.embedding.path, tensors.embedding), (base.positions?.path, tensors.positions)] {
      guard let path, names.isEmpty, try target.contains(path: path), !options.replacements.names(path) else { continue }
      throw .missingTensor(location: location, tensor: "\(AdapterFolder.prefix)\(path).lora_embedding_A")
    }
  }
}
