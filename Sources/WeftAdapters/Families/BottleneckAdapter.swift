// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// Bottleneck adapters of the library `adapters` (AdapterHub; https://docs.adapterhub.ml): Houlsby's and Pfeiffer's, parallel
/// ones and those between. `adapter.safetensors` beside `adapter_config.json`, whose `config` says where they stand and what they
/// read.
///
/// Tensors, per layer and place (`attention_adapters`, `output_adapters`):
/// `<layer>.<place>.adapters.<name>.adapter_down.0.weight` [size, hidden] (`.1` behind a norm at `.0`), `.adapter_up.weight`
/// [hidden, size], their biases, `.scaling` where it is learned, `.adapter_norm_after`. `reduction_factor` and `leave_out` show
/// in them.
enum BottleneckAdapter {
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = try BottleneckConfig(files.config)
    let parts = try parts(&files, base.shape)
    var deltas = DeltaSet()
    for (place, prefix) in parts.sorted(by: { $0.value < $1.value }) {
      let module = try module(prefix, config, &files, hidden: base.shape.embedding.hiddenSize)
      let site: HiddenSite = place.isAttention ? .attentionOutput(place.layer) : .feedForwardOutput(place.layer)
      do throws(DeltaError) { deltas.hidden[site] = [.bottleneck(try module())] } catch {
        throw .part(location: files.tensorsLocation, part: prefix, error)
      }
    }
    return deltas
  }

  private struct Place: Hashable {
    let layer: Int
    let isAttention: Bool
  }

  /// The beginning of the names of every module, with its dot.
  private static func parts(_ files: inout AdapterFolder, _ base: BaseShape) throws(AdapterError) -> [Place: String] {
    let location = files.tensorsLocation
    var found: [Place: String] = [:]
    for name in files.tensorNames {
      let words = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
      guard let index = words.firstIndex(where: { $0 == "attention_adapters" || $0 == "output_adapters" }), index > 0,
        words.count > index + 3, words[index + 1] == "adapters",
        base.isLayer(words[..<index].joined(separator: "."))
      else {
        throw .unknownTensor(
          location: location, tensor: name,
          expected: "<layer>.attention_adapters.adapters.NAME... or .output_adapters... of this base")
      }
      guard let layer = AdapterMark.layer("layers." + words[index - 1]), layer < base.layerCount else {
        throw .layerOutOfRange(location: location, tensor: name, layerCount: base.layerCount)
      }
      files.recognize(name)
      let place = Place(layer: layer, isAttention: words[index] == "attention_adapters")
      let prefix = words[...(index + 2)].joined(separator: ".") + "."
      if let other = found[place], other != prefix {
        throw .duplicateTensor(location: location, tensor: other + "adapter_up.weight", other: prefix + "adapter_up.weight")
      }
      found[place] = prefix
    }
    return found
  }

  /// Takes the tensors of one module; putting them together may fail with a `DeltaError`.
  private static func module(
    _ prefix: String, _ config: BottleneckConfig, _ files: inout AdapterFolder, hidden: Int
  ) throws(AdapterError) -> () throws(DeltaError) -> Bottleneck {
    let location = files.tensorsLocation
    func require(_ name: String) throws(AdapterError) {
      guard files.has(name) else { throw .missingTensor(location: location, tensor: name) }
    }
    // A norm in front is the first part of the sequence; it has a second name, under which pickles repeat it.
    let down = "\(prefix)adapter_down.\(config.hasNormBefore ? 1 : 0)"
    let up = "\(prefix)adapter_up"
    for name in [down + ".weight", up + ".weight"] { try require(name) }
    let size = files.shape(of: down + ".weight").first ?? 0
    let matrix = try files.take(down + ".weight", shape: [size, hidden])
    let upMatrix = try files.take(up + ".weight", shape: [hidden, size])
    let downBias = try files.takeFloats(try name(down + ".bias"), shape: [size])
    var upBias = try files.takeFloats(try name(up + ".bias"), shape: [hidden])
    func name(_ name: String) throws(AdapterError) -> String {
      try require(name)
      return name
    }
    var norms: [Bottleneck.Norm?] = []
    for (isThere, path) in [
      (config.hasNormBefore, "\(prefix)adapter_down.0"), (config.hasNormAfter, "\(prefix)adapter_norm_after"),
    ] {
      norms.append(
        isThere
          ? Bottleneck.Norm(
            weight: try files.takeFloats(try name(path + ".weight"), shape: [hidden]),
            bias: try files.takeFloats(try name(path + ".bias"), shape: [hidden])) : nil)
    }
    if config.hasNormBefore { for end in ["weight", "bias"] { files.discard("\(prefix)adapter_norm_before.\(end)") } }
    let scales: [Float]
    switch config.scaling {
    case .number(let scale): scales = [Float](repeating: scale, count: hidden)
    case .learned:
      scales = [Float](repeating: try files.takeFloats(try name(prefix + "scaling"), shape: [1])[0], count: hidden)
    case .channel: scales = try files.takeFloats(try name(prefix + "scaling"), shape: [hidden])
    }
    for i in 0..<hidden { upBias[i] *= scales[i] }
    let scaled = scales.allSatisfy { $0 == 1 } ? upMatrix : try LoRA.scaleRows(upMatrix, by: scales)
    let (bias, normBefore, normAfter) = (upBias, norms[0], norms[1])
    return { () throws(DeltaError) in
      try Bottleneck(
        input: config.input, normBefore: normBefore, down: matrix, downBias: downBias, activation: config.activation,
        up: scaled, upBias: bias, normAfter: normAfter)
    }
  }
}
