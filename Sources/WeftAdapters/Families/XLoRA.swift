// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// X-LoRA (https://arxiv.org/abs/2402.07148): plain LoRAs as experts, and a classifier that makes their gates, for every token
/// and layer, from the last hidden state of a pass without them.
///
/// Tensors: `base_model.internal_xlora_classifier.layers.N.weight` and `.bias`, where N counts ReLU and dropout too. The experts
/// are in folders of their names below, where PEFT saves them, or at the paths that the config has.
enum XLoRA {
  static let peftType = "XLORA"

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let options = try XLoRAOptions(files.config)
    let hidden = base.shape.embedding.hiddenSize
    guard options.hiddenSize == hidden else {
      throw files.config.malformed("hidden_size", expected: "\(hidden), as the base has", found: files.config["hidden_size"])
    }
    var experts: [LoRAExpert] = []
    for (name, path) in options.experts {
      experts.append(try LoRAExpert(try folder(name, path, files), base: base))
    }
    // A layer of the classifier is a module that any expert adapts, in the order of the model.
    let modules = base.shape.modules.filter { module in experts.contains { $0.factors[module] != nil } }
    var builder = DeltaBuilder(base, files)
    for (layer, module) in modules.enumerated() {
      let factors = experts.map { $0.factors[module] }
      try GatedExperts(factors, base.size(of: module)).add(
        gate: nil, rule: .external(layer: options.isLayerwise ? layer : 0), to: module, of: &builder)
    }
    builder.deltas.classifier = try classifier(options, layerCount: modules.count, &files)
    return builder.deltas
  }

  /// Where an expert may lie. What was saved beside the classifier was trained with it.
  static func folders(of name: String, path: String, _ files: AdapterFolder) -> [String] {
    [files.path + "/" + name, files.path + "/" + path, path]
  }

  private static func folder(
    _ name: String, _ path: String, _ files: AdapterFolder
  ) throws(AdapterError) -> AdapterFolder {
    guard let expert = try files.companion(name, folders: folders(of: name, path: path, files)) else {
      throw .missingFile(location: files.path, name: "the folder '\(name)' or '\(path)' of an expert")
    }
    return expert
  }

  private static func classifier(
    _ options: XLoRAOptions, layerCount: Int, _ files: inout AdapterFolder
  ) throws(AdapterError) -> GateClassifier {
    let location = files.tensorsLocation
    let expertCount = options.experts.count
    let gateLayers = options.isLayerwise ? layerCount : 1
    let prefix = "base_model.internal_xlora_classifier.layers."
    var layers: [(weight: Tensor, bias: [Float]?)] = []
    for depth in 0..<options.depth {
      let index = depth * options.stride
      let isLast = depth == options.depth - 1
      let columns = depth == 0 ? options.hiddenSize : options.size
      let rows = isLast ? expertCount * gateLayers : options.size
      let (weight, bias) = ("\(prefix)\(index).weight", "\(prefix)\(index).bias")
      for name in [weight, bias] where !files.has(name) {
        throw .notReproducible(
          location: location, reason: "tensor '\(name)' of the classifier is missing, which peft 0.21.2 and before leave out",
          remedy: "write internal_xlora_classifier.state_dict() of the trained model to this file, with "
            + "'base_model.internal_xlora_classifier.' before each name")
      }
      layers.append(
        (try files.take(weight, shape: [rows, columns]), try files.takeFloats(bias, shape: [rows])))
    }
    do {
      return try GateClassifier(
        layers: layers, expertCount: expertCount, layerCount: gateLayers, temperature: options.temperature,
        topK: options.topK, normalizesKept: options.normalizesKept, scale: options.scale)
    } catch { throw .part(location: location, part: "classifier", error) }
  }
}

/// PEFT's `XLoraConfig`.
struct XLoRAOptions {
  /// Names with paths, in their order.
  let experts: [(name: String, path: String)]
  let hiddenSize: Int
  let depth: Int
  /// Width between the classifier's layers.
  let size: Int
  /// How far apart the linear maps are in the numbering.
  let stride: Int
  let isLayerwise: Bool
  /// nil: no softmax.
  let temperature: Float?
  let topK: Int?
  let normalizesKept: Bool
  let scale: Float

  private static let rules: [String: AdapterConfig.Rule] = AdapterConfig.commonRules.merging([
    "adapters": .read, "hidden_size": .read, "xlora_depth": .read, "xlora_size": .read, "layerwise_scalings": .read,
    "enable_softmax": .read, "enable_softmax_topk": .read, "softmax_temperature": .read, "top_k_lora": .read,
    "global_scaling_weight": .read, "scaling_pass_value": .read, "xlora_dropout_p": .read,
    // The experts that were trained are those that are saved below.
    "use_trainable_adapters": .inert,
  ]) { $1 }

  init(_ config: AdapterConfig) throws(AdapterError) {
    try config.check(XLoRAOptions.rules)
    func integer(_ option: String, _ standard: Int?) throws(AdapterError) -> Int {
      guard let value = config[option] ?? nil else {
        guard let standard else { throw config.malformed(option, expected: "a number of at least 1", found: nil) }
        return standard
      }
      guard let integer = value.int, integer >= 1, integer < 1 << 24 else {
        throw config.malformed(option, expected: "a number of at least 1", found: value)
      }
      return integer
    }
    func number(_ option: String, _ standard: Double) throws(AdapterError) -> Float {
      guard let value = config[option] else { return Float(standard) }
      guard let number = value.double.map({ Float($0) }), number.isFinite else {
        throw config.malformed(option, expected: "a number", found: value)
      }
      return number
    }
    var experts: [(name: String, path: String)] = []
    for (name, value) in try config.members("adapters") {
      guard let path = value.string, Mixture.isName(name), name != ".", name != ".." else {
        throw config.malformed("adapters", expected: "names of experts with their folders", found: value)
      }
      experts.append((name, path))
    }
    guard !experts.isEmpty else {
      throw config.malformed("adapters", expected: "names of experts with their folders", found: config["adapters"])
    }
    self.experts = experts
    hiddenSize = try integer("hidden_size", nil)
    depth = try integer("xlora_depth", 1)
    guard depth <= 64 else { throw config.malformed("xlora_depth", expected: "at most 64", found: config["xlora_depth"]) }
    size = try integer("xlora_size", 2048)
    stride = try number("xlora_dropout_p", 0.2) > 0 ? 3 : 2
    isLayerwise = try config.bool("layerwise_scalings")
    let hasSoftmax = config["enable_softmax"] == nil ? true : try config.bool("enable_softmax")
    let temperature = try number("softmax_temperature", 1)
    guard temperature > 0 else {
      throw config.malformed("softmax_temperature", expected: "a positive number", found: config["softmax_temperature"])
    }
    self.temperature = hasSoftmax ? temperature : nil
    topK = config["top_k_lora"] == nil ? nil : try integer("top_k_lora", nil)
    guard topK ?? 1 <= experts.count else {
      throw config.malformed("top_k_lora", expected: "at most \(experts.count)", found: config["top_k_lora"])
    }
    normalizesKept = try config.bool("enable_softmax_topk")
    scale = try number("global_scaling_weight", 1)
    guard try number("scaling_pass_value", 0) == 0 else {
      throw .unsupportedOption(
        location: config.location, option: "scaling_pass_value", expected: "0: a first pass without the experts",
        found: config["scaling_pass_value"]?.kind ?? "")
    }
  }
}
