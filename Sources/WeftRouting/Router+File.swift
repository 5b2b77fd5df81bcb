// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

// A router file is a safetensors file with these and no other members:
//
// | metadata | text |
// |---|---|
// | format | `weft-router` |
// | version | `1` |
// | adapters | JSON array of names, in the order of the outputs |
// | layer | the layer of the features, decimal |
// | top_p | decimal |
// | base | identifies the base model |
//
// | tensor (F32) | shape |
// |---|---|
// | feature.mean, feature.deviation | [featureSize] |
// | hidden.weight, hidden.bias | [hiddenSize, featureSize], [hiddenSize] |
// | output.weight, output.bias | [adapters, hiddenSize], [adapters] |
extension Router {
  private static let metadataKeys: Set = ["format", "version", "adapters", "layer", "top_p", "base"]

  /// Reads and checks a router file. Whatever the file holds beyond the table above is an error.
  package init(file path: String) throws(RouterError) {
    let file: SafetensorsFile
    do { file = try SafetensorsFile(path: path) } catch { throw .file(error) }
    guard file.metadata["format"] == "weft-router" else {
      throw .unusable(
        location: "\(path): format", expected: "weft-router", found: file.metadata["format"].map { "'\($0)'" } ?? "no format")
    }
    guard file.metadata["version"] == "1" else {
      throw .unusable(
        location: "\(path): version", expected: "1", found: file.metadata["version"].map { "'\($0)'" } ?? "no version")
    }
    if let key = file.metadata.keys.sorted().first(where: { !Router.metadataKeys.contains($0) }) {
      throw .unusable(location: path, expected: "no other metadata", found: "'\(key)'")
    }
    let names = try Router.names(file)
    try Router.check(adapters: names, location: "\(path): adapters")
    let layer = try Router.text("layer", file)
    guard let layerNumber = Int(layer), layerNumber >= 0 else {
      throw .unusable(location: "\(path): layer", expected: "a whole number from 0", found: "'\(layer)'")
    }
    let topP = try Router.text("top_p", file)
    guard let topPNumber = Float(topP), topPNumber > 0, topPNumber <= 1 else {
      throw .unusable(location: "\(path): top_p", expected: "a number above 0 and at most 1", found: "'\(topP)'")
    }
    var parts = RouterParts(file)
    let featureSize = try parts.length(of: "feature.mean")
    let hiddenSize = try parts.length(of: "hidden.bias")
    let featureMean = try parts.take("feature.mean", [featureSize])
    let featureDeviation = try parts.take("feature.deviation", [featureSize])
    if let index = featureDeviation.firstIndex(where: { $0 <= 0 }) {
      throw .unusable(
        location: "\(path): tensor 'feature.deviation'", expected: "positive numbers",
        found: "\(featureDeviation[index]) at \(index)")
    }
    let network = RouterNetwork(
      hiddenWeight: try parts.take("hidden.weight", [hiddenSize, featureSize]),
      hiddenBias: try parts.take("hidden.bias", [hiddenSize]),
      outputWeight: try parts.take("output.weight", [names.count, hiddenSize]),
      outputBias: try parts.take("output.bias", [names.count]))
    try parts.finish()
    try self.init(
      adapters: names, featureLayer: layerNumber, topP: topPNumber, base: try Router.text("base", file),
      featureMean: featureMean, featureDeviation: featureDeviation, network: network)
  }

  /// Writes the router; the same router gives the same bytes. The file appears complete or not at all.
  package func write(to path: String) throws(RouterError) {
    let ranges = network.ranges
    let parts: [(name: String, shape: [Int], values: [Float])] = [
      ("feature.mean", [featureSize], featureMean), ("feature.deviation", [featureSize], featureDeviation),
      ("hidden.weight", [hiddenSize, featureSize], Array(network.parameters[ranges.hiddenWeight])),
      ("hidden.bias", [hiddenSize], Array(network.parameters[ranges.hiddenBias])),
      ("output.weight", [adapters.count, hiddenSize], Array(network.parameters[ranges.outputWeight])),
      ("output.bias", [adapters.count], Array(network.parameters[ranges.outputBias])),
    ]
    do {
      let writer = try SafetensorsWriter(
        path: path, tensors: parts.map { ($0.name, .f32, $0.shape) },
        metadata: [
          "format": "weft-router", "version": "1", "adapters": "[\(adapters.map(JSON.text).joined(separator: ","))]",
          "layer": "\(featureLayer)", "top_p": "\(topP)", "base": base,
        ])
      for part in parts { try writer.append(part.values) }
      try writer.finish()
    } catch { throw .file(error) }
  }

  private static func text(_ key: String, _ file: SafetensorsFile) throws(RouterError) -> String {
    guard let text = file.metadata[key] else { throw .file(.missing(location: file.path, name: "metadata '\(key)'")) }
    return text
  }

  private static func names(_ file: SafetensorsFile) throws(RouterError) -> [String] {
    let location = "\(file.path): adapters"
    let json: JSON
    let text = try text("adapters", file)
    do { json = try JSON(parsing: text, location: location) } catch { throw .file(error) }
    guard let elements = json.array else {
      throw .unusable(location: location, expected: "an array of names", found: json.kind)
    }
    var names: [String] = []
    for element in elements {
      guard let name = element.string else {
        throw .unusable(location: location, expected: "an array of names", found: "\(element.kind) in it")
      }
      names.append(name)
    }
    return names
  }
}

/// The tensors of a router file, taken one by one, so that what nobody took is noticed.
private struct RouterParts {
  private let path: String
  private var tensors: [String: Tensor]

  init(_ file: SafetensorsFile) {
    path = file.path
    tensors = file.tensors
  }

  /// The length of a vector that is not empty.
  func length(of name: String) throws(RouterError) -> Int {
    let shape = try tensor(name).shape
    guard shape.count == 1, shape[0] > 0 else {
      throw .unusable(location: "\(path): tensor '\(name)'", expected: "a vector that is not empty", found: "shape \(shape)")
    }
    return shape[0]
  }

  /// The values of a tensor of this shape.
  mutating func take(_ name: String, _ shape: [Int]) throws(RouterError) -> [Float] {
    let tensor = try tensor(name)
    let location = "\(path): tensor '\(name)'"
    guard tensor.dtype == .f32, tensor.shape == shape else {
      throw .unusable(
        location: location, expected: "F32 of shape \(shape)", found: "\(tensor.dtype.name) of shape \(tensor.shape)")
    }
    if let index = tensor.firstNonFinite() {
      throw .unusable(location: location, expected: "finite numbers", found: "infinity or NaN at \(index)")
    }
    tensors[name] = nil
    return tensor.floats()
  }

  /// Every tensor has to have been taken.
  func finish() throws(RouterError) {
    if let name = tensors.keys.sorted().first {
      throw .unusable(location: path, expected: "no other tensor", found: "'\(name)'")
    }
  }

  private func tensor(_ name: String) throws(RouterError) -> Tensor {
    guard let tensor = tensors[name] else { throw .file(.missing(location: path, name: "tensor '\(name)'")) }
    return tensor
  }
}
