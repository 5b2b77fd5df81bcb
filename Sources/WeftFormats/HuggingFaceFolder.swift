// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// A folder in the layout of transformers' `save_pretrained`.
struct HuggingFaceFolder {
  let path: String

  /// `config.json`, which has to be an object.
  func config() throws(FormatError) -> JSON {
    guard Checkpoint.exists("\(path)/config.json") else { throw .missing(location: path, name: "config.json") }
    let config = try JSON(file: "\(path)/config.json")
    guard config.isObject else {
      throw .malformed(location: "\(path)/config.json", expected: "an object", found: config.kind)
    }
    return config
  }

  /// All tensors: of `model.safetensors` when it is there, otherwise of the shards that the index names.
  func tensors() throws(FormatError) -> [String: Tensor] {
    let single = "\(path)/model.safetensors"
    if Checkpoint.exists(single) { return try SafetensorsFile(path: single).tensors }
    let index = "\(path)/model.safetensors.index.json"
    if Checkpoint.exists(index) { return try shards(index: index) }
    for pickle in ["pytorch_model.bin", "pytorch_model.bin.index.json", "model.bin", "pytorch_model.pt"] {
      guard Checkpoint.exists("\(path)/\(pickle)") else { continue }
      throw .unsupported(
        location: path, expected: "model.safetensors (save_pretrained of transformers writes it)",
        found: "\(pickle): a pickle file can run code when it is read, and")
    }
    throw .missing(location: path, name: "model.safetensors or model.safetensors.index.json")
  }

  /// Reads `weight_map` (tensor -> shard) and all shards. Map and shards must name the same tensors.
  private func shards(index: String) throws(FormatError) -> [String: Tensor] {
    guard let map = try JSON(file: index)["weight_map"] else { throw .missing(location: index, name: "weight_map") }
    guard let members = map.members else {
      throw .malformed(location: "\(index): weight_map", expected: "an object", found: map.kind)
    }
    var shardOfTensor: [String: String] = [:]
    var shardOrder: [String] = []
    for (name, value) in members {
      let shard = try shardName(value, location: "\(index): weight_map '\(name)'")
      guard shardOfTensor.updateValue(shard, forKey: name) == nil else {
        throw .malformed(location: "\(index): weight_map", expected: "every tensor once", found: "'\(name)' again")
      }
      if !shardOrder.contains(shard) { shardOrder.append(shard) }
    }
    var tensors: [String: Tensor] = [:]
    for shard in shardOrder {
      guard Checkpoint.exists("\(path)/\(shard)") else { throw .missing(location: path, name: "shard \(shard)") }
      let file = try SafetensorsFile(path: "\(path)/\(shard)")
      for name in file.tensorOrder {
        guard shardOfTensor[name] == shard else {
          throw .malformed(
            location: "\(path)/\(shard): tensor '\(name)'", expected: "a tensor that the index maps to this shard",
            found: shardOfTensor[name].map { "one that it maps to \($0)" } ?? "one that it does not name")
        }
        tensors[name] = file.tensors[name]
      }
    }
    for (name, _) in members where tensors[name] == nil {
      throw .missing(location: "\(path)/\(shardOfTensor[name] ?? "")", name: "tensor '\(name)' of the index")
    }
    return tensors
  }

  /// A shard is a file of this folder: a name with a folder in it could read any file of the machine.
  private func shardName(_ value: JSON, location: String) throws(FormatError) -> String {
    guard let name = value.string else {
      throw .malformed(location: location, expected: "the name of a shard", found: value.kind)
    }
    guard name.hasSuffix(".safetensors"), !name.utf8.contains(UInt8(ascii: "/")) else {
      throw .malformed(
        location: location, expected: "the name of a .safetensors file in the folder of the index", found: value.kind)
    }
    return name
  }
}
