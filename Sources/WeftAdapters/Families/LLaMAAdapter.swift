// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// LLaMA-Adapter (https://arxiv.org/abs/2303.16199), PEFT's adaption prompts: in the last layers, every query also attends to a
/// prompt, in a softmax of its own, and a gate says how much of the result is added.
///
/// `adaption_prompt` [1, n, hidden] and `adaption_gate` [1] behind the path of the attention. The base's projections make keys
/// and values of the prompt.
enum LLaMAAdapter {
  private static let prompt = "adaption_prompt"
  private static let gate = "adaption_gate"

  private static let rules = AdapterConfig.commonRules.merging(
    ["target_modules": .read, "adapter_len": .read, "adapter_layers": .read]
  ) { $1 }

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let count = try config.integer("adapter_len", default: 0)
    let layerCount = try config.integer("adapter_layers", default: 0)
    guard layerCount <= model.shape.layerCount else {
      throw config.malformed(
        "adapter_layers", expected: "at most \(model.shape.layerCount) layers, as the base has", found: config["adapter_layers"]
      )
    }
    let names = try names(&files, model.shape)
    var builder = DeltaBuilder(model, files)
    for layer in model.shape.layerCount - layerCount..<model.shape.layerCount {
      guard let attention = Attention(layer, model.shape) else {
        throw .missingTensor(location: files.tensorsLocation, tensor: "layers.\(layer).\(prompt)")
      }
      try requireTarget(attention, config)
      guard let name = names[layer]?.prompt else { throw missing(prompt, attention, files) }
      guard let gateName = names[layer]?.gate else { throw missing(gate, attention, files) }
      let width = model.shape.embedding.hiddenSize
      let rows = try files.takeFloats(name, shape: [1, count, width])
      let factor = try files.takeFloats(gateName, shape: [1])[0]
      let values = try builder.values()
      do throws(DeltaError) {
        builder.deltas.gatedPrompts[layer] = try GatedPrompt(
          keys: try projected(rows, by: .key, layer, model.shape, values),
          values: try projected(rows, by: .value, layer, model.shape, values), gate: factor,
          headDimension: model.shape.attention.headDimension, isProjected: attention.isProjected)
      } catch { throw .part(location: files.tensorsLocation, part: name, error) }
      // PEFT sends the result through the whole output projection, bias and all, a second time.
      if attention.isProjected, let bias = values.bias(.layer(layer, .output)) {
        do throws(DeltaError) {
          builder.deltas.operators[.layer(layer, .output), default: []].append(.bias(try BiasDelta(bias)))
        } catch { throw .part(location: files.tensorsLocation, part: name, error) }
      }
    }
    return builder.deltas
  }

  /// Where a layer has its attention.
  private struct Attention {
    let path: String
    /// Whether the result goes through the output projection; GPT-2's is added behind it.
    let isProjected: Bool

    init?(_ layer: Int, _ base: BaseShape) {
      guard let query = base.path(of: .layer(layer, .query)), let dot = query.lastIndex(of: ".") else { return nil }
      path = String(query[..<dot])
      isProjected = query[dot...] != ".c_attn"
    }
  }

  /// The names in the file, by layer.
  private static func names(
    _ files: inout AdapterFolder, _ base: BaseShape
  ) throws(AdapterError) -> [Int: (prompt: String?, gate: String?)] {
    var names: [Int: (prompt: String?, gate: String?)] = [:]
    let attentions = (0..<base.layerCount).map { Attention($0, base)?.path }
    for name in files.tensorNames {
      guard let (path, parameter) = AdapterFolder.split(name, [prompt, gate]) else { continue }
      // Files differ in what paths begin with.
      let own = attentions.firstIndex { attention in attention.map { $0 == path || $0.hasSuffix("." + path) } ?? false }
      guard let layer = own else {
        let expected = attentions.last.flatMap { $0 } ?? "attention"
        throw .unknownTensor(
          location: files.tensorsLocation, tensor: name, expected: "an attention of this base, such as \(expected)")
      }
      files.recognize(name)
      var found = names[layer] ?? (nil, nil)
      if let other = parameter == prompt ? found.prompt : found.gate {
        throw .duplicateTensor(location: files.tensorsLocation, tensor: other, other: name)
      }
      if parameter == prompt { found.prompt = name } else { found.gate = name }
      names[layer] = found
    }
    return names
  }

  private static func requireTarget(_ attention: Attention, _ config: AdapterConfig) throws(AdapterError) {
    guard let target = try config.string("target_modules"), !attention.path.hasSuffix("." + target) else { return }
    throw config.malformed(
      "target_modules", expected: "the attention of the base, \(attention.path)", found: config["target_modules"])
  }

  private static func missing(_ parameter: String, _ attention: Attention, _ files: AdapterFolder) -> AdapterError {
    .missingTensor(location: files.tensorsLocation, tensor: "\(AdapterFolder.prefix)\(attention.path).\(parameter)")
  }

  /// Rows [n, hidden] through the projection of keys or values, bias included: [n, out].
  private static func projected(
    _ rows: [Float], by projection: Projection, _ layer: Int, _ base: BaseShape, _ values: BaseModel.Values
  ) throws(DeltaError) -> Tensor {
    let width = base.embedding.hiddenSize
    let weight = values.weight(.layer(layer, projection))
    let out = weight.count / width
    let bias = values.bias(.layer(layer, projection))
    do {
      var product = try LinearAlgebra.product(
        rows.map { Double($0) }, transposed: false, weight.map { Double($0) }, transposed: true, rows: rows.count / width,
        inner: width, columns: out)
      if let bias { for i in product.indices { product[i] += Double(bias[i % out]) } }
      return try Tensor(product.map { Float($0) }, shape: [rows.count / width, out])
    } catch {
      throw .malformed(factor: "keys", expected: "memory for [\(rows.count / width), \(out)]", found: "\(error)")
    }
  }
}
