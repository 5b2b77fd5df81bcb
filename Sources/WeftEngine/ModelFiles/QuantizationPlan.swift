// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// The format of every tensor in a file of some `QuantizationType`: the mixes that llama.cpp's `llama-quantize` makes, so that
/// a file means the same whoever wrote it.
///
/// Vectors, norms, expert gates and position embeddings keep the format that they have. The output head (or the embedding,
/// when it is the head too) gets Q6_K in all types below Q8_0; the values and the down projections of some layers, which matter
/// most, get more bits. Rows that are no whole number of blocks of 256 get a format with blocks of 32.
package struct QuantizationPlan: Sendable {
  /// What the choice depends on beside names and shapes.
  package struct Model: Sendable {
    package let architecture: String
    package let layerCount: Int
    package let headCount: Int
    package let keyValueHeadCount: Int
    package let expertCount: Int

    package init(architecture: String, layerCount: Int, headCount: Int, keyValueHeadCount: Int, expertCount: Int) {
      self.architecture = architecture
      self.layerCount = layerCount
      self.headCount = headCount
      self.keyValueHeadCount = keyValueHeadCount
      self.expertCount = expertCount
    }

    /// Query heads that share a key-value head.
    var groupSize: Int { keyValueHeadCount > 0 ? headCount / keyValueHeadCount : 1 }
  }

  /// A tensor before the choice; `shape` is in PyTorch's order.
  package typealias Candidate = (name: String, shape: [Int], dtype: DType)

  private var formats: [String: DType]
  /// Tensors whose format the plan may choose, with their columns.
  private var columns: [String: Int] = [:]

  /// - Parameter hasImportance: whether an importance matrix guides the encoders: it makes some extra bits unnecessary.
  package init(_ type: QuantizationType, model: Model, tensors: [Candidate], hasImportance: Bool) {
    let isTied = !tensors.contains { $0.name == "output.weight" }
    let valueLayers = tensors.filter { Role($0.name) == .value }.map { QuantizationPlan.layer(of: $0.name) }.sorted()
    var formats: [String: DType] = [:]
    for tensor in tensors {
      guard QuantizationPlan.isQuantized(tensor) else {
        formats[tensor.name] = tensor.dtype
        continue
      }
      let columns = tensor.shape.last ?? 1
      self.columns[tensor.name] = columns
      guard type.dtype.isQuantized else {
        formats[tensor.name] = type.dtype
        continue
      }
      let layer = QuantizationPlan.layer(of: tensor.name)
      let chosen: DType =
        switch Role(tensor.name) {
        case .output: QuantizationPlan.head(type, columns: columns)
        case .embedding: isTied ? QuantizationPlan.head(type, columns: columns) : type.dtype
        case .value: QuantizationPlan.value(type, model, place: valueLayers.firstIndex(of: layer) ?? 0, of: valueLayers.count)
        case .key: model.expertCount == 8 ? .q8_0 : type.dtype
        case .attentionOutput: QuantizationPlan.attentionOutput(type, model)
        case .down: QuantizationPlan.down(type, model, layer: layer, hasImportance: hasImportance)
        case .other: type.dtype
        }
      formats[tensor.name] = QuantizationPlan.fitting(chosen, columns: columns)
    }
    self.formats = formats
  }

  /// The format of a tensor that the plan was made for.
  package func dtype(of name: String) -> DType? { formats[name] }

  /// This plan with other formats for some of the tensors that it chooses for: `name` is a tensor's, or a part of it between
  /// dots. Every override has to concern a tensor, and to fit its rows.
  func overridden(by overrides: [(name: String, dtype: DType)]) throws(EngineError) -> QuantizationPlan {
    var plan = self
    for (name, dtype) in overrides {
      let concerned = columns.filter { tensor, _ in tensor == name || tensor.split(separator: ".").contains { $0 == name } }
      guard !concerned.isEmpty else {
        throw EngineError(
          .invalidArgument, "tensor type: expected the name of a weight matrix or a part of it, found '\(name)'")
      }
      for (tensor, columns) in concerned {
        guard columns % dtype.blockElements == 0 else {
          throw EngineError(
            .invalidArgument,
            "tensor '\(tensor)': expected rows of whole \(dtype.name) blocks (\(dtype.blockElements) elements), found \(columns) columns"
          )
        }
        plan.formats[tensor] = dtype
      }
    }
    return plan
  }

  /// What a matrix does, as far as its format depends on it.
  private enum Role {
    case output, embedding, value, key, attentionOutput, down, other

    init(_ name: String) {
      if name == "output.weight" {
        self = .output
      } else if name == "token_embd.weight" {
        self = .embedding
      } else if ["attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight"].contains(where: name.hasSuffix) {
        self = .value
      } else if name.hasSuffix("attn_k.weight") {
        self = .key
      } else if name.hasSuffix("attn_output.weight") {
        self = .attentionOutput
      } else if name.split(separator: ".").contains(where: { $0.hasPrefix("ffn_down") }) {
        self = .down
      } else {
        self = .other
      }
    }
  }

  /// Matrices and stacks of matrices, except those that are small and decide much.
  private static func isQuantized(_ tensor: Candidate) -> Bool {
    let name = tensor.name
    return tensor.shape.count >= 2 && name.hasSuffix("weight") && !name.hasSuffix("_norm.weight")
      && !name.hasSuffix("ffn_gate_inp.weight") && name != "position_embd.weight" && name != "token_types.weight"
  }

  /// The layer in `blk.7.attn_v.weight`; 0 outside of layers.
  private static func layer(of name: String) -> Int {
    let parts = name.split(separator: ".")
    return parts.count > 1 && parts[0] == "blk" ? Int(parts[1]) ?? 0 : 0
  }

  /// The first eighth of the layers, the last one, and every third between them.
  private static func needsMoreBits(_ layer: Int, of count: Int) -> Bool {
    layer < count / 8 || layer >= 7 * count / 8 || (layer - count / 8) % 3 == 2
  }

  private static func head(_ type: QuantizationType, columns: Int) -> DType {
    type == .q8_0 || columns % type.dtype.blockElements != 0 ? .q8_0 : .q6_k
  }

  private static func value(_ type: QuantizationType, _ model: Model, place: Int, of count: Int) -> DType {
    // With eight experts, attention is a small part of the model.
    if model.expertCount == 8 { return .q8_0 }
    // Eight query heads share one in models of 80 layers (70 B): values are small there, and used often.
    let isShared = model.layerCount == 80 && ["llama", "qwen2"].contains(model.architecture)
    switch type {
    case .q4_k_m where needsMoreBits(place, of: count), .q5_k_m where needsMoreBits(place, of: count): return .q6_k
    case .q4_k_s where place < 4, .iq4_nl where model.groupSize >= 4, .q4_k_m where isShared, .q4_k_s where isShared:
      return .q5_k
    default: return type.dtype
    }
  }

  private static func attentionOutput(_ type: QuantizationType, _ model: Model) -> DType {
    switch type {
    case .q4_k_m, .q4_k_s, .iq4_nl: model.expertCount == 8 ? .q5_k : type.dtype
    default: type.dtype
    }
  }

  private static func down(_ type: QuantizationType, _ model: Model, layer: Int, hasImportance: Bool) -> DType {
    let isEarly = layer < model.layerCount / 8
    switch type {
    case .q4_k_m where needsMoreBits(layer, of: model.layerCount), .q5_k_m where needsMoreBits(layer, of: model.layerCount):
      return .q6_k
    case .q4_k_s where isEarly, .iq4_nl where isEarly && !hasImportance: return .q5_k
    case .q4_0 where isEarly && hasImportance: return .q4_1
    case .q5_0 where isEarly && hasImportance: return .q5_1
    default: return type.dtype
    }
  }

  /// The format, or where its blocks do not divide the rows one that is as good with blocks of 32, or F16.
  private static func fitting(_ dtype: DType, columns: Int) -> DType {
    guard columns % dtype.blockElements != 0 else { return dtype }
    let smaller: DType =
      switch dtype {
      case .q4_k: .q5_0
      case .q5_k: .q5_1
      case .q6_k: .q8_0
      default: .f16
      }
    return columns % smaller.blockElements == 0 ? smaller : .f16
  }
}
