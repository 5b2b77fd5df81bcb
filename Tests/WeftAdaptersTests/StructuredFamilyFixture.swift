// SPDX-License-Identifier: Apache-2.0

import TestSupport
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

/// A small adapter of a structured family that is right, for tests to break: q_proj [6, 4] of both layers of `AdapterFixture.base`.
struct StructuredFamilyFixture {
  /// Option -> JSON text.
  var config: [String: String]
  var tensors: [String: Tensor]
  /// The shapes of one module's tensors.
  let shapes: [String: [Int]]

  static let families = [
    "LOHA", "LOKR", "FOURIERFT", "WAVEFT", "C3A", "MISS", "SHIRA", "SUPERTUNING", "HIRA", "GLORA", "PEANUT", "FROD",
  ]

  private static let options: [String: [String: String]] = [
    "LOHA": ["r": "2", "alpha": "4"], "LOKR": ["r": "2", "alpha": "4"],
    "FOURIERFT": ["n_frequency": "3", "scaling": "150.0", "random_loc_seed": "777"],
    "WAVEFT": ["n_frequency": "3", "scaling": "25.0", "wavelet_family": "\"db2\""], "C3A": ["block_size": "2"],
    "MISS": ["r": "2", "init_weights": "true"], "SHIRA": ["r": "1"], "SUPERTUNING": ["sparsity": "0.5"], "HIRA": ["r": "2"],
    "GLORA": ["r": "2", "config_A_B": "\"lora\"", "config_C": "\"lora\"", "config_D_E": "\"constant\""],
    "PEANUT": ["r": "2", "depth": "1", "act_fn": "\"gelu\""], "FROD": ["sparse_rate": "0.1"],
  ]

  private static let shapes: [String: [String: [Int]]] = [
    "LOHA": ["hada_w1_a": [6, 2], "hada_w1_b": [2, 4], "hada_w2_a": [6, 2], "hada_w2_b": [2, 4]],
    "LOKR": ["lokr_w1": [2, 2], "lokr_w2_a": [3, 2], "lokr_w2_b": [2, 2]],
    "FOURIERFT": ["fourierft_spectrum": [3]], "WAVEFT": ["waveft_spectrum": [3]], "C3A": ["c3a_kernel": [3, 2, 2]],
    "MISS": ["miss_block": [2, 6]], "SHIRA": ["shira_weight": [10], "shira_indices": [2, 10]],
    "SUPERTUNING": ["supertuning_values": [12], "supertuning_indices": [12]], "HIRA": ["hira_A": [2, 4], "hira_B": [6, 2]],
    "GLORA": [
      "glora_A.Xd": [6, 2], "glora_A.Xu": [2, 4], "glora_B.Xd": [6, 2], "glora_B.Xu": [2, 4], "glora_C.zeros": [4, 1],
      "glora_D.zeros": [6], "glora_E.zeros": [6],
    ],
    "PEANUT": [
      "peanut_A.weight": [2, 6], "peanut_B.weight": [6, 2], "peanut_encoders.0.weight": [2, 2],
      "peanut_decoders.0.weight": [2, 2],
    ],
    "FROD": ["frod_lambda_l": [4], "frod_lambda_s_values": [2]],
  ]

  init(_ family: String) throws {
    config = ["peft_type": "\"\(family)\"", "target_modules": "[\"q_proj\"]", "peft_version": "\"0.21.2\""]
    config.merge(Self.options[family] ?? [:]) { $1 }
    shapes = Self.shapes[family] ?? [:]
    tensors = [:]
    for layer in 0..<2 {
      for (parameter, shape) in shapes { tensors[Self.name(layer, parameter)] = try Self.tensor(parameter, shape) }
    }
    guard family == "FROD" else { return }
    tensors["base_model.frod_V.self_attn_q_proj"] = try Tensor((0..<16).map { $0 % 5 == 0 ? 2 : 0 }, shape: [4, 4])
    tensors["base_model.frod_s_indices.self_attn_q_proj"] = try Self.integers([0, 1, 2, 3], [2, 2])
    tensors["base_model.frod_s_size.self_attn_q_proj"] = try Self.integers([4, 4], [2])
  }

  static func name(_ layer: Int, _ parameter: String, _ module: String = "q_proj") -> String {
    "base_model.model.model.layers.\(layer).self_attn.\(module).\(parameter)"
  }

  /// Zeros for buffers of zeros, small integers for indices, and else small numbers that differ.
  static func tensor(_ parameter: String, _ shape: [Int]) throws -> Tensor {
    let count = shape.reduce(1, *)
    if parameter.hasSuffix("indices") { return try integers((0..<count).map { $0 % 4 }, shape) }
    if parameter.hasSuffix("zeros") { return try Tensor([Float](repeating: 0, count: count), shape: shape) }
    return try Tensor((0..<count).map { Float($0 % 7 + 1) / 8 }, shape: shape)
  }

  static func integers(_ values: [Int], _ shape: [Int]) throws -> Tensor {
    let storage = try Storage(byteCount: 4 * values.count)
    for (place, value) in values.enumerated() {
      storage.bytes.storeBytes(of: Int32(value).littleEndian, toByteOffset: 4 * place, as: Int32.self)
    }
    guard let tensor = Tensor(dtype: .i32, shape: shape, storage: storage, offset: 0) else {
      throw StorageError.outOfMemory(bytes: 0)
    }
    return tensor
  }

  /// A base with weights that are all different.
  static func base(_ shape: BaseShape = AdapterFixture.base) -> BaseModel {
    BaseModel(
      shape: shape,
      values: .init(
        weight: { site in
          let size = shape.shape(of: site) ?? (0, 0)
          return (0..<size.out * size.in).map { Float($0 + 1) / 32 }
        }, bias: { _ in nil },
        embedding: { tokens in
          (tokens.lowerBound * shape.embedding.hiddenSize..<tokens.upperBound * shape.embedding.hiddenSize).map {
            Float($0) / 32
          }
        }))
  }

  /// Writes the folder and reads it back.
  func read(from folder: TemporaryFolder, base: BaseModel = Self.base()) throws -> Adapter {
    let members = config.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
    try folder.write("{\(members.joined(separator: ", "))}".utf8, to: "adapter_config.json")
    try SafetensorsWriter.write(tensors, to: folder.file("adapter_model.safetensors"))
    return try AdapterReader.read(folder: folder.path, name: "tiny", base: base)
  }
}
