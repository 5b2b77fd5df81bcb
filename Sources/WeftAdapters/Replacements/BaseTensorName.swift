// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// The name of a tensor of the base in an adapter's file: `base_model.model.`, a path, `.weight` or `.bias`; of a module that
/// the family wraps, with `.base_layer` behind the path.
struct BaseTensorName {
  enum Owner {
    case linear(BaseModule)
    /// A parameter [experts, out, in], or [experts, in, out].
    case stacked(BaseModule)
    case norm(BaseNorm)
    case embedding(BaseEmbedding)
    /// Learned positions.
    case positions(BaseEmbedding)

    /// The path in the base.
    var path: String {
      switch self {
      case .linear(let module): module.path
      case .stacked(let module): module.name
      case .norm(let norm): norm.path
      case .embedding(let embedding), .positions(let embedding): embedding.path
      }
    }
  }

  /// One tensor of the base.
  struct Part: Hashable {
    let path: String
    let isBias: Bool
  }

  let owner: Owner
  let isBias: Bool
  /// Whether the name has the `.base_layer` of a wrapped module.
  let isWrapped: Bool

  var part: Part { Part(path: owner.path, isBias: isBias) }

  /// nil when the base has no such tensor.
  init?(_ name: String, base: BaseShape) {
    // PEFT wraps no model in its prompts: there the path follows `base_model.`.
    let prefix = [AdapterFolder.prefix, "base_model."].first { name.hasPrefix($0) } ?? ""
    var path = String(name.dropFirst(prefix.count))
    if let dot = path.lastIndex(of: "."),
      let module = base.parameters(at: String(path[..<dot])).first(where: {
        $0.parameter == String(path[dot...].dropFirst())
      })
    {
      (owner, isBias, isWrapped) = (.stacked(module), false, false)
      return
    }
    if BaseTensorName.drop(".weight", from: &path) {
      isBias = false
    } else if BaseTensorName.drop(".bias", from: &path) {
      isBias = true
    } else {
      return nil
    }
    isWrapped = BaseTensorName.drop(".base_layer", from: &path)
    // How PEFT has it in memory.
    _ = BaseTensorName.drop(".modules_to_save.default", from: &path)
    if let module = base.module(at: path) {
      owner = .linear(module)
    } else if let norm = base.norm(at: path) {
      owner = .norm(norm)
    } else if base.isEmbedding(path), !isBias {
      owner = .embedding(base.embedding)
    } else if base.isPositions(path), !isBias, let positions = base.positions {
      owner = .positions(positions)
    } else {
      return nil
    }
  }

  private static func drop(_ suffix: String, from path: inout String) -> Bool {
    guard path.hasSuffix(suffix) else { return false }
    path.removeLast(suffix.count)
    return true
  }
}
