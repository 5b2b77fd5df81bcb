// SPDX-License-Identifier: Apache-2.0

import TestSupport
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

/// A small adapter that is right, for tests to break: rank 2 on q_proj of both layers of `base`.
struct AdapterFixture {
  static let base = BaseShape.llama(
    layerCount: 2, hiddenSize: 4, queryWidth: 6, keyValueWidth: 3, intermediateSize: 5, vocabularySize: 7,
    isTied: false)

  /// Option -> JSON text.
  var config = [
    "peft_type": "\"LORA\"", "r": "2", "lora_alpha": "4", "target_modules": "[\"q_proj\"]", "bias": "\"none\"",
    "base_model_name_or_path": "\"weft/tiny\"", "lora_dropout": "0.1", "init_lora_weights": "true",
    "peft_version": "\"0.21.2\"",
  ]
  var tensors: [String: Tensor]
  /// Written beside the config instead of the safetensors file.
  var otherFile: String?

  init() throws {
    tensors = [:]
    for layer in 0..<2 { try add("q_proj", at: "base_model.model.model.layers.\(layer).self_attn", rank: 2, out: 6, in: 4) }
  }

  static func name(_ layer: Int, _ module: String, _ factor: String) -> String {
    "base_model.model.model.layers.\(layer).\(module).lora_\(factor).weight"
  }

  static func ones(_ shape: [Int]) throws -> Tensor {
    try Tensor([Float](repeating: 1, count: shape.reduce(1, *)), shape: shape)
  }

  /// Adds both factors of a module.
  mutating func add(_ module: String, at parent: String, rank: Int, out: Int, in: Int) throws {
    tensors["\(parent).\(module).lora_A.weight"] = try AdapterFixture.ones([rank, `in`])
    tensors["\(parent).\(module).lora_B.weight"] = try AdapterFixture.ones([out, rank])
  }

  mutating func rename(_ old: String, _ new: String) {
    tensors[new] = tensors.removeValue(forKey: old)
  }

  /// Writes the folder; the config's members in sorted order.
  /// - Parameter below: a folder in `folder`, to write there.
  func write(to folder: TemporaryFolder, below: String? = nil) throws {
    let parent = below.map { $0 + "/" } ?? ""
    let members = config.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
    try folder.write("{\(members.joined(separator: ", "))}".utf8, to: parent + "adapter_config.json")
    if let otherFile {
      try folder.write("no safetensors".utf8, to: parent + otherFile)
    } else {
      try SafetensorsWriter.write(tensors, to: folder.file(parent + "adapter_model.safetensors"))
    }
  }

  /// Writes the folder and reads it back.
  func read(
    name: String = "tiny", base: BaseShape = AdapterFixture.base, values: BaseModel.Values? = nil
  ) throws -> Adapter {
    let folder = try TemporaryFolder()
    try write(to: folder)
    return try AdapterReader.read(folder: folder.path, name: name, base: BaseModel(shape: base, values: values))
  }

  /// Values of a base: every weight counts up from 1, in steps of 1/8; no map has a bias.
  static func values(_ base: BaseShape = AdapterFixture.base) -> BaseModel.Values {
    @Sendable func numbers(_ count: Int) -> [Float] { (0..<count).map { 1 + Float($0) / 8 } }
    return BaseModel.Values(
      weight: { site in base.shape(of: site).map { numbers($0.out * $0.in) } ?? [] }, bias: { _ in nil },
      embedding: { rows in
        Array(
          numbers(base.embedding.vocabularySize * base.embedding.hiddenSize)[
            rows.lowerBound * base.embedding.hiddenSize..<rows.upperBound * base.embedding.hiddenSize])
      })
  }

  /// The error of reading, its location reduced to what lies inside the folder; nil when reading succeeds.
  func error(name: String = "tiny", base: BaseShape = AdapterFixture.base) throws -> String? {
    let folder = try TemporaryFolder()
    try write(to: folder)
    do {
      _ = try AdapterReader.read(folder: folder.path, name: name, base: BaseModel(shape: base))
      return nil
    } catch { return "\(error)".replacing(folder.path, with: "FOLDER") }
  }
}
